"""Images are decoded in a process that can do little, and each protection is needed."""

import io
import subprocess
import threading

import numpy as np
import pytest
from PIL import Image

from audit.core.errors import AuditError
from audit.data import decoder_child as child
from audit.data import decoder_pool as apart
from audit.data.images import LARGE, ImageProblemError, decode_bytes, pixel_digest


def packed(side=4, kind="PNG", seed=0, **options):
    pixels = np.random.default_rng(seed).integers(0, 255, (side, 2 * side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def boot(monkeypatch):
    """Children that run other code first: their decoder is replaced."""

    def change(words):
        begin, end = apart.BOOT.rsplit("; ", 1)
        monkeypatch.setattr(apart, "BOOT", f"{begin}\n{words}\n{end}")
        monkeypatch.setattr(apart, "POOL", pool := apart.Pool())
        pools.append(pool)

    pools = []
    yield change
    for pool in pools:
        pool.close()


PLAIN = "decode = child.decode_bytes\n"
SMALL = packed()


def test_pixels_and_facts_are_those_of_decoding_here():
    files = [packed(kind=kind, seed=i) for i, kind in enumerate(["PNG", "JPEG", "GIF"] * 60)]

    images, facts = list(apart.decoded(iter(files))), list(apart.looked_at(files))

    for raw, image, fact in zip(files, images, facts, strict=True):
        here = decode_bytes(raw)
        assert image.tobytes() == here.tobytes()
        assert fact == (pixel_digest(here), here.mode, 8, 4)


def test_a_bad_file_is_a_sentence_and_the_others_go_on():
    first, bad, last = apart.decoded([SMALL, SMALL[:60], packed(seed=1)])

    assert (bad.reason, str(bad)) == ("DATA_UNREADABLE", "is cut short or damaged")
    assert first.size == last.size == (8, 4)


def test_large_images_are_decoded_one_at_a_time():
    side = int((LARGE / 2) ** 0.5) + 2

    before, large, after = apart.decoded([SMALL, packed(side, compress_level=0), SMALL])

    assert large.size == (2 * side, side)
    assert before.tobytes() == after.tobytes()


def test_a_reader_that_goes_away_leaves_no_half_answer():
    next(iter(apart.decoded([packed(seed=i) for i in range(9)])))

    (image,) = apart.decoded([SMALL])

    assert image.tobytes() == decode_bytes(SMALL).tobytes()


ACTIONS = {
    "opens a file": "open('/etc/hostname')",
    "takes memory": "bytearray(2**30)",
    "starts a process": "__import__('os').pipe()",
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize("limited", [True, False])
def test_a_decoder_that_was_taken_over_can_do_little(action, limited, boot):
    """Without the limits the same action succeeds."""
    off = "" if limited else "child.limit = lambda: None\n"
    act = f"child.decode_bytes = lambda raw, large: ({action}, decode(raw))[1]"
    boot(f"{PLAIN}child.warm_up = lambda: None\nchild.MEMORY = 2**30\n{off}{act}")

    (found,) = apart.decoded([SMALL])

    assert isinstance(found, ImageProblemError) == limited


ENDINGS = {"crash": "__import__('os').abort()", "endless": "any(iter(int, 1))"}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_only_the_file_that_ends_its_child_is_blamed(ending, boot):
    fatal = packed(side=5)
    act = f"{ending} if len(raw) == {len(fatal)} else decode(raw)"
    boot(f"child.SECONDS = 0.3\n{PLAIN}child.decode_bytes = lambda raw, large=True: {act}")

    first, bad, last = apart.decoded([SMALL, fatal, SMALL])

    assert str(bad) == "takes too much time or memory to decode, or ends its decoder"
    assert first.size == last.size == (8, 4)


LIES = {
    "size": "child.ANSWER.pack(b'F', 9, 9, b'R', 3), b'abc'",
    "mode": "child.ANSWER.pack(b'F', 1, 1, b'X', 3), b'abc'",
    "words": "child.ANSWER.pack(b'P', 0, 0, b' ', 18), b'DATA_UNREADABLE \\x1b['",
    "reason": "child.ANSWER.pack(b'P', 0, 0, b' ', 6), b'OTHER '",
    "short": "b'F', b''",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_decoder_that_lies_is_not_believed(lie, boot, monkeypatch):
    monkeypatch.setattr(apart, "WAIT", 1.0)  # seconds; a short answer only ends with these
    boot(f"child.answer = lambda raw, how: ({lie})")

    (found,) = apart.decoded([SMALL])

    assert str(found) == "takes too much time or memory to decode, or ends its decoder"


def test_a_decoder_that_does_not_start_is_no_fault_of_the_image(boot):
    boot("child.warm_up = lambda: 1 / 0")

    with pytest.raises(AuditError, match="DATA_DECODER"):
        next(apart.decoded([SMALL]))


def test_a_forked_process_has_children_of_its_own(monkeypatch):
    list(apart.decoded([SMALL]))
    mine = list(apart.POOL.idle)
    monkeypatch.setattr(apart.POOL, "owner", -1)

    with apart.POOL.borrowed() as other:
        assert other not in mine

    for decoder in mine:
        decoder.close()


def test_a_decoder_outlives_the_thread_that_first_asked(boot):
    boot("")
    first = threading.Thread(target=lambda: list(apart.decoded([SMALL])))
    first.start()
    first.join()
    (decoder,) = apart.POOL.idle
    with pytest.raises(subprocess.TimeoutExpired):
        decoder.process.wait(0.5)


def test_the_protocol_has_room_for_every_image():
    head = child.ANSWER.unpack(child.answer(packed(kind="TIFF"), child.PIXELS)[0])

    assert head == (b"F", 8, 4, b"R", 8 * 4 * 3)
