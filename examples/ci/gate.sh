#!/bin/sh
# Runs one audit as a gate of continuous integration.
#
#     sh gate.sh FOLDER ARGUMENTS...     runs  audit ARGUMENTS... --out FOLDER
#
# FOLDER is new and holds the report afterwards: report.html, report.md, junit.xml, report.yaml.
# The script ends with the exit code of the audit:
#
#     0  every gate passed
#     1  a gate failed
#     2  nothing was judged: usage, input refused, environment
#     3  no gate failed, but one is undecided, or a check crashed
#
# What an undecided audit (3) does to the job is your choice, in GATE_UNDECIDED:
#
#     block   (default) the job fails with 3. Undecided is not a pass: the data could not tell.
#     allow   the job goes on with 0 and says so. For the first weeks, or where people read the
#             report anyway. It never touches 1 and 2.
#
# Where the build server offers a summary page (GITHUB_STEP_SUMMARY), the report is added to it.
set -u

if [ "$#" -lt 2 ]; then
    echo "gate.sh: needs a new folder and the arguments of audit" >&2
    exit 2
fi
case "${GATE_UNDECIDED:-block}" in
    block | allow) ;;
    *)
        echo "gate.sh: GATE_UNDECIDED is block or allow" >&2
        exit 2
        ;;
esac
folder=$1
shift

status=0
audit "$@" --out "$folder" || status=$?

summary=${GITHUB_STEP_SUMMARY:-}
if [ -n "$summary" ]; then
    if [ "$status" -le 3 ] && [ "$status" -ne 2 ] && [ -f "$folder/report.md" ]; then
        cat "$folder/report.md" >>"$summary"
    else
        printf '# Nothing was audited\n\nThe audit ended with exit code %s: the log says why.\n' \
            "$status" >>"$summary"
    fi
fi

if [ "$status" -eq 3 ] && [ "${GATE_UNDECIDED:-block}" = allow ]; then
    echo "gate.sh: the audit is undecided (3), which GATE_UNDECIDED=allow lets through" >&2
    exit 0
fi
exit "$status"
