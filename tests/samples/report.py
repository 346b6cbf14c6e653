"""A whole report as an example: every kind of chart, verdict and unit, and hostile names."""

import math

from PIL import Image, ImageDraw

from audit.reports.document import Chart, Document, Gate, KeyNumber, Picture, Section, Series
from audit.reports.text import interval

NAN = math.nan
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}{% raw %}",
    "a|b `c` *d* [e](javascript:f) @octocat",
    "cat\u202egpj.exe",
    "zero\u200bwidth\ufeff",
    "\x1b[31mred\x00\r\n::error::stop",
    "##vso[task.complete result=Succeeded]",
    "חתול",
    "🐈 emoji ❤️",
    "]]>&amp;<!--",
    "x" * 400,
)


def one(name, role, value, low=NAN, high=NAN):
    return Series(name=name, role=role, x=("accuracy",), y=(value,), low=(low,), high=(high,))


LADDER = Chart(
    title="Accuracy of the subject and of every null, on the same 2,000 images",
    description="The subject reaches 88.5 %, the best null 85.6 %, the sighted twin 87.9 %.",
    kind="interval",
    x_label="accuracy",
    y_label="model",
    percent=True,
    limits=((0.871, "needed for a gain of 0.10: 87.1 %"),),
    series=(
        one("resnet10t", "subject", 0.885, 0.870, 0.899),
        one("prior", "null", 0.1, 0.0872, 0.1139),
        one("colour histogram", "null", 0.412, 0.390, 0.434),
        one("moments", "null", 0.537, 0.515, 0.559),
        one("pixels", "null", 0.812, 0.794, 0.829),
        one("BagNet-5", "null", 0.771, 0.752, 0.789),
        one("BagNet-9", "null", 0.849, 0.832, 0.864),
        one("CoordConv-9", "null", NAN),
        one("stack of all nulls", "null", 0.856, 0.840, 0.871),
        one("sighted twin", "control", 0.879, 0.864, 0.893),
        one("circular twin", "control", 0.831, 0.814, 0.847),
    ),
)
DIMENSION = Chart(
    title="Intrinsic dimension of the last layer",
    description="Subject and nulls lie close together; the untrained twins spread widely.",
    kind="interval",
    x_label="dimensions (TwoNN)",
    y_label="model",
    series=tuple(
        Series(name=name, role=role, x=(state,), y=(y,), low=(y - 0.4,), high=(y + 0.5,))
        for state, name, role, y in (
            ("trained", "resnet10t", "subject", 13.4),
            ("trained", "BagNet-9", "null", 13.8),
            ("trained", "CoordConv-9", "null", 13.3),
            ("untrained twin", "resnet10t", "untrained", 9.9),
            ("untrained twin", "BagNet-9", "untrained", 15.3),
            ("untrained twin", "CoordConv-9", "untrained", 11.2),
        )
    ),
)


def curve(name, role, *points):
    y = tuple(points)
    ends = [tuple(v + s * 0.012 for v in y) for s in (-1, 1)]
    return Series(name=name, role=role, x=(0.02, 0.24, 0.51, 0.83), y=y, low=ends[0], high=ends[1])


TRANSFER = Chart(
    title="Accuracy after freezing the first layers and training the rest again",
    description="BnB falls by 6 points at depth 0.83, BnB+ recovers.",
    kind="line",
    x_label="relative depth of the cut",
    y_label="accuracy",
    percent=True,
    limits=((0.885, "whole network"),),
    series=(
        curve("BnB resnet10t", "subject", 0.884, 0.879, 0.861, 0.823),
        curve("BnB+ resnet10t", "subject", 0.886, 0.885, 0.884, 0.880),
        curve("BnB BagNet-9", "null", 0.849, 0.846, NAN, 0.838),
        curve("BnB sighted twin", "control", 0.878, 0.874, 0.859, 0.827),
        curve("untrained prefix", "untrained", NAN, NAN, NAN, NAN),
    ),
)


HALVES = Chart(
    title="Accuracy on B behind layers of B and of A",
    description="AnB falls by 9 points at depth 0.83, the other curves stay level.",
    kind="line",
    x_label="depth of the cut",
    y_label="accuracy on B",
    percent=True,
    limits=((0.861, "baseB"),),
    series=(
        curve("BnB: own, frozen", "subject", 0.859, 0.856, 0.850, 0.858),
        curve("BnB+: own, all learn", "subject", 0.862, 0.864, 0.863, 0.865),
        curve("AnB: other, frozen", "control", 0.857, 0.848, 0.817, 0.768),
        curve("AnB+: other, all learn", "control", 0.866, 0.869, 0.871, 0.870),
        curve("fresh, frozen", "untrained", 0.842, 0.761, 0.598, 0.402),
    ),
)


PROFILE = Chart(
    title="Intrinsic dimension, by depth",
    description="The model rises from 22 to 45 and falls to 10, its untrained twin stays near 22.",
    kind="line",
    x_label="relative depth (share of multiply-adds before the point)",
    y_label="dimensions",
    series=(
        curve("this model", "subject", 21.8, 45.3, 36.5, 9.8),
        curve("untrained twin", "untrained", 21.8, 22.2, 22.4, 21.0),
        curve("BagNet-9", "null", 21.8, 30.1, NAN, 12.4),
    ),
)


GRID = Chart(
    title="Right and wrong together",
    description="Shares of all images: both right 0.61, neither 0.16.",
    kind="grid",
    x_label="BagNet-9",
    y_label="share of the images",
    percent=True,
    series=tuple(
        Series(
            name=f"resnet10t {word}",
            role="subject",
            x=("BagNet-9 right", "BagNet-9 wrong"),
            y=y,
            low=tuple(v - 0.01 for v in y),
            high=tuple(v + 0.01 for v in y),
        )
        for word, y in (("right", (0.61, 0.17)), ("wrong", (0.06, NAN)))
    ),
)


READ_OUTS = Chart(
    title="What a linear model reads off the layers, on its own task",
    description="The model rises from 71 % to 88 %, its untrained twin stays near 66 %.",
    kind="line",
    x_label="relative depth of the cut",
    y_label="accuracy",
    percent=True,
    limits=((0.801, "the pixels"),),
    series=(
        curve("linear read-out", "subject", 0.712, 0.791, 0.846, 0.879),
        curve("SVM", "control", 0.715, 0.788, NAN, 0.881),
        curve("untrained twin", "untrained", 0.702, 0.681, 0.672, 0.665),
    ),
)


def gate(name, verdict, severity="gate", value=NAN, low=NAN, high=NAN, unit="", **more):
    words = {"statement": f"limit {name}", "n": 2000, "unit": unit} | more
    return Gate(
        name=name, verdict=verdict, severity=severity, value=value, low=low, high=high, **words
    )


GATES = (
    gate(
        "gain",
        "inconclusive",
        "gate",
        0.2,
        0.08,
        0.31,
        "gain",
        statement="removes at least 10 % of the errors of every null",
        reason="FEW_IMAGES",
        explanation="The interval over the stack of all nulls includes 0.10; about 2,600 more "
        "evaluation images would decide.",
    ),
    gate(
        "gap_prior",
        "pass",
        "gate",
        0.785,
        0.762,
        0.807,
        "points",
        statement="beats the class frequencies",
    ),
    gate(
        "exact_leaks",
        "pass",
        "gate",
        0.0,
        0.0,
        0.0,
        "count",
        statement="no training image stands in the evaluation set",
    ),
    gate(
        "near_leaks",
        "pass",
        "gate",
        0.0002,
        0.0,
        0.0008,
        "fraction",
        statement="at most 0.1 % near duplicates of training images",
    ),
    gate(
        "coadaptation",
        "fail",
        "warn",
        0.062,
        0.051,
        0.079,
        "points",
        statement="co-adaptation of at most 5 points",
        explanation="Training the rest again on frozen layers costs 6.2 points at depth 0.83.",
    ),
    gate(
        "position",
        "inconclusive",
        "warn",
        reason="NOT_MEASURED",
        statement="absolute position explains at most 1 point",
        explanation="CoordConv-9 was not measured: its training diverged twice.",
    ),
)


def album():
    names = (*HOSTILE, "ankle boot", "pullover")
    return tuple(
        Picture(
            file=f"evidence/{group}-{i:02d}.png",
            caption=f"test/{name}/{i:04d}.png: {name}",
            group=f"Images that {words}",
        )
        for group, words in (
            ("subject", "only the subject gets right"),
            ("null", "a null gets right"),
        )
        for i, name in enumerate(names[:7] if group == "null" else names)
    )


def paint(folder):
    for i, picture in enumerate(album()):
        image = Image.new("RGB", (28, 28), (20, 20, 20))
        shape = [4 + i % 5, 5, 22, 24 - i % 7]
        ImageDraw.Draw(image).ellipse(shape, fill=(90 + i * 8, 200 - i * 9, 120 + i * 3))
        if i != 3:  # one picture is missing
            image.save(folder / picture.file)


def sample_document():
    rows = tuple(
        {
            "model": s.name,
            "value": s.y[0],
            "95 % interval": interval(s.low[0], s.high[0], "fraction"),
            "unit": "fraction",
            "images": 2000,
            "note": "" if s.y[0] == s.y[0] else "training diverged",
        }
        for s in LADDER.series
    )
    per_class = tuple({"class": name, "accuracy": 0.5, "images": 200} for name in HOSTILE)
    return Document(
        title="resnet10t.fashion",
        verdict="inconclusive",
        exit_code=3,
        headline="resnet10t beats every blind model that was tried, but on 2,000 images it is not "
        "certain that the lead over the best of them is more than chance.",
        watermark="Quick look: one seed for each null. Not for a release decision.",
        numbers=(
            KeyNumber(
                label="Accuracy of the subject", value="88.5 %", interval="87.0 to 89.9 %", n=2000
            ),
            KeyNumber(
                label="Best blind model: stack of all nulls",
                value="85.6 %",
                interval="84.0 to 87.1 %",
                n=2000,
            ),
            KeyNumber(label="Gain over it", value="0.20", interval="0.08 to 0.31", n=2000),
            KeyNumber(
                label="Price of blindness: sighted twin − null",
                value="2.3 points",
                interval="0.9 to 3.7 points",
                n=2000,
            ),
        ),
        subject={
            "Architecture": "resnet10t, 4.9 M parameters",
            "File": "resnet10t-fashion.safetensors",
            "SHA-256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "Pre-trained": "no",
        },
        data={
            "Folder": "fashion-mnist",
            "Training images": "6,000",
            "Evaluation images": "2,000 in 10 classes",
            "Used to choose the subject": "unknown",
        },
        gates=GATES,
        sections=(
            Section(
                name="accuracy_gap",
                title="Accuracy against blind models",
                verdict="inconclusive",
                summary="The subject is 2.9 points better than the best blind model. The sighted "
                "twin, trained by the nulls' own recipe, is 2.3 points better: most of the lead "
                "is the price of blindness.",
                rows=rows,
                charts=(LADDER,),
                pictures=album(),
                caveats=(
                    "A null that was trained too briefly flatters the subject; the limit is "
                    "judged against the null's accuracy plus what more training could add.",
                    "BagNet-9 is blind to arrangement beyond 9 pixels, not to position.",
                ),
                references=("Brendel & Bethge (2019), ICLR, arXiv:1904.00760.",),
            ),
            Section(
                name="intrinsic_dimension",
                title="Last-layer dimension",
                verdict=None,
                summary="The features of subject and nulls have about the same dimension.",
                charts=(DIMENSION,),
                rows=per_class,
                caveats=("Untrained networks differ more than trained ones.",),
                references=("Facco et al. (2017), Scientific Reports 7, 12140.",),
            ),
            Section(
                name="transfer",
                title="Layers that depend on each other",
                verdict="fail",
                summary="Late layers of the subject are co-adapted: freezing 83 % of the "
                "network and training the rest again costs 6.2 points.",
                charts=(TRANSFER,),
                references=("Yosinski et al. (2014), NeurIPS, arXiv:1411.1792.",),
            ),
            Section(
                name="id_profile",
                title="Intrinsic dimension at every depth",
                verdict=None,
                summary="This model: hunchback; the untrained twin: flat.",
                charts=(PROFILE,),
                caveats=("It does not establish that the model generalises.",),
                references=("Ansuini et al. (2019), NeurIPS, arXiv:1905.12784.",),
            ),
            Section(
                name="probes",
                title="From which depth on can the classes be read off?",
                verdict=None,
                summary="A linear model reads 87.9 % off the last layers, 21.4 points more than "
                "off an untrained network.",
                charts=(READ_OUTS,),
                caveats=("What can be read out is there; it is not shown that it is used.",),
                references=("Donahue et al. (2014), ICML, arXiv:1310.1531.",),
            ),
            Section(
                name="split_transfer",
                title="What are the layers worth on another task?",
                verdict=None,
                summary="Freezing layers of A instead of its own costs B at most 9.0 points.",
                charts=(HALVES,),
                references=("Yosinski et al. (2014), NeurIPS, arXiv:1411.1792.",),
            ),
        ),
        not_established=(
            "That the subject sees objects as people do.",
            "That it works on images from another camera, year or place.",
            *(f"Anything about the class {name}." for name in HOSTILE),
        ),
        provenance={
            "Version": "0.1.0",
            "Seeds": "0",
            "Data digest": "b1946ac92492d2347c6235b4d2611184",
            "Policy": "default",
            "Libraries": "torch 2.15, timm 1.0.31",
        },
        command="audit resnet10t-fashion.safetensors \\\n  --data fashion-mnist --quick --seed 0",
    )


def crowded_document():
    """1,000 classes, some with hostile names, and file names of 200 characters."""
    names = [*HOSTILE, *(f"class {i:04d} of a long list" for i in range(1000 - len(HOSTILE)))]
    long = "-".join(f"{i:03d}" for i in range(50))  # 199 characters that nothing breaks
    section = Section(
        name="accuracy_gap",
        title="Gap by class",
        verdict="fail",
        summary=f"The smallest gap is that of {names[0]}, the largest that of {names[9]}.",
        rows=tuple({"class": name, "accuracy": 0.5, "images": 10} for name in names),
        charts=(
            Chart(
                title="Gap over the strongest null (the 30 smallest of 1,000)",
                description="Each row is a class.",
                kind="interval",
                x_label="gap in points",
                y_label="class",
                points=True,
                series=tuple(one(name, "subject", 0.01, -0.1, 0.1) for name in names[:30]),
                limits=((0.0, names[0]),),
            ),
            GRID.model_copy(update={"x_label": long}),
        ),
        pictures=tuple(
            Picture(file=f"evidence/{long}.png", caption=f"{long}.png: {name}", group=long)
            for name in names[:12]
        ),
    )
    return sample_document().model_copy(
        update={
            "title": long,
            "subject": {"file": long, "classes": ", ".join(names[:13])},
            "audited": {"Model": long, "Classes": ", ".join(names), names[0]: names[1]},
            "certainty": f"As sure as {names[0]}.",
            "gates": tuple(gate(name, "fail", statement=f"{long} {name}") for name in names[:12]),
            "sections": (section,),
        }
    )
