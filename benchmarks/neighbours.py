"""How fast are exact nearest neighbours, beside DADApy, scikit-dimension and a faiss flat search?

    python benchmarks/neighbours.py --n 20000 --d 2048 --threads 1

Every contestant runs in a process of its own, with the same points and the same number of threads,
and says how long it took (the wall clock, and processor time, which other processes of a shared
machine disturb least), how far the peak of its memory lies above what it had with the points in
memory, and the distances to the two nearest neighbours. Those are compared with differences of
coordinates in float64 for some rows (the largest relative difference); the ratio is of processor
time to that of the first contestant. Ours and faiss search; DADApy and scikit-dimension cannot be
asked for less than the dimension. DADApy copies its input to float64: the time of that counts.

Points: `gaussian` (equal variance in all directions, the hardest case: no shorter description of
them keeps a distance); `features` (16 random variables through two random layers with ReLU: 9 % of
the variance lies outside the first eighth of the principal axes, as 11 % does for the last layer
of a ResNet-18 trained on CIFAR-10, and TwoNN reads 18, there 14); or a .npy file of real ones.
The peers need an environment of their own: benchmarks/peers.txt.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Distances = NDArray[np.float64]
PEERS = ("ours", "dadapy", "skdim", "faiss")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def points(name: str, n: int, d: int) -> Points:
    """(N, D) by name, or the first n rows of a file."""
    if name.endswith(".npy"):
        return np.ascontiguousarray(np.load(name)[:n], dtype=np.float32)
    rng = np.random.default_rng(0)
    if name != "features":
        return rng.standard_normal((n, d), dtype=np.float32)
    made = rng.standard_normal((n, 16), dtype=np.float32)
    for width in (512, d):
        made -= made.mean(0)
        made = made @ rng.standard_normal((made.shape[1], width), dtype=np.float32)
        np.maximum(made, 0, out=made)
    return made


def ours(x: Points, threads: int) -> Callable[[], Distances]:
    """The product's search."""
    import torch

    from audit.kernels.neighbours import nearest

    torch.set_num_threads(threads)
    return lambda: nearest(torch.from_numpy(x), 2).distances.numpy()


def dadapy(x: Points, threads: int) -> Callable[[], Distances]:
    """DADApy's TwoNN, asked for as few neighbours as it takes."""
    from dadapy import Data

    def search() -> Distances:
        data = Data(coordinates=x, maxk=3, n_jobs=threads)
        data.compute_id_2NN()
        return np.asarray(data.distances[:, 1:3])

    return search


def skdim(x: Points, threads: int) -> Callable[[], Distances]:
    """scikit-dimension's TwoNN; it keeps the logarithms of the ratios only."""
    sys.path.remove(str(Path(__file__).parent))  # numba asks for a library named as coverage.py
    from skdim.id import TwoNN

    def search() -> Distances:
        TwoNN().fit(x)
        return np.empty((0, 2))

    return search


def faiss(x: Points, threads: int) -> Callable[[], Distances]:
    """A flat search for three: every point finds itself first."""
    import faiss as library

    library.omp_set_num_threads(threads)

    def search() -> Distances:
        index = library.IndexFlatL2(x.shape[1])
        index.add(x)
        squares, _ = index.search(x, 3)
        return np.sqrt(np.maximum(squares[:, 1:], 0)).astype(float)

    return search


def resident() -> float:
    """The memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def reset_peak() -> None:
    """Forget the highest memory so far (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def high_water() -> float:
    """The highest memory since it was forgotten, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))


def one(arguments: argparse.Namespace) -> None:
    """Run one contestant and write what it found."""
    x = np.load(arguments.data)
    contestants = {"ours": ours, "dadapy": dadapy, "skdim": skdim, "faiss": faiss}
    search = contestants[arguments.only](x, arguments.threads)
    before = resident()
    reset_peak()
    wall, processor = time.perf_counter(), time.process_time()
    distances = search()
    found = {
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
        "memory": high_water() - before,
    }
    np.save(arguments.out / "distances.npy", distances)
    (arguments.out / "found.json").write_text(json.dumps(found))


def run(name: str, x: Path, threads: int) -> tuple[dict[str, float], Distances] | None:
    """One contestant in a process of its own; nothing if it is not installed or fails."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, __file__, "--only", name, "--out", folder]
        words += ["--data", str(x), "--threads", str(threads)]
        limits = {variable: str(threads) for variable in THREADS}
        done = subprocess.run(words, env=os.environ | limits, capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        found = json.loads((Path(folder) / "found.json").read_text())
        return found, np.load(Path(folder) / "distances.npy")


def brute_force(x: Points, rows: NDArray[np.int64]) -> Distances:
    """(R, 2) from differences of coordinates in float64."""
    found = []
    for row in rows:
        own = x[row].astype(float)
        squares = np.concatenate(
            [((part - own) ** 2).sum(1) for part in np.array_split(x, len(x) // 500 + 1)]
        )
        squares[row] = np.inf
        found.append(np.sqrt(np.partition(squares, 1)[:2]))
    return np.array(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=4000, help="points")
    parser.add_argument("--d", type=int, default=2048, help="coordinates")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", default="gaussian", help="gaussian, features, or FILE.npy")
    parser.add_argument("--peers", nargs="+", default=PEERS, choices=PEERS)
    parser.add_argument("--rows", type=int, default=200, help="rows searched by brute force")
    parser.add_argument("--repeat", type=int, default=1, help="runs; the fastest of each counts")
    parser.add_argument("--only", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        one(arguments)
        return
    x = points(arguments.data, arguments.n, arguments.d)
    print(f"{len(x):,} {arguments.data} points, {x.shape[1]:,} coordinates, ", end="")
    print(f"{arguments.threads} threads\n\n{HEADER}", flush=True)
    rows = np.random.default_rng(1).permutation(len(x))[: arguments.rows]
    expected = brute_force(x, rows)
    best: float | None = None
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, x)
        file.flush()
        del x
        for name in arguments.peers:
            runs = [run(name, Path(file.name), arguments.threads) for _ in range(arguments.repeat)]
            known = [result for result in runs if result is not None]
            if known:
                found, distances = min(known, key=lambda result: result[0]["processor"])
                best = found["processor"] if best is None else best
                print(row(name, found, distances, rows, expected, best), flush=True)
    print(f"\nBfloat16 is used as {bfloat16(arguments.threads):.1f} times as fast as float32.")


def bfloat16(threads: int) -> float:
    """How many times as fast as float32 the product takes products of bfloat16 to be here."""
    import torch

    from audit.kernels.rounded import speed_up

    torch.set_num_threads(threads)
    return speed_up(torch.device("cpu"))


HEADER = """| search | seconds | processor seconds | ratio | memory, MB | largest difference |
|---|---|---|---|---|---|"""


def row(
    name: str,
    found: dict[str, float],
    distances: Distances,
    rows: NDArray[np.int64],
    expected: Distances,
    best: float,
) -> str:
    """One line of the table."""
    difference = "not given"
    if len(distances):
        difference = f"{np.max(np.abs(distances[rows] / expected - 1)):.1e}"
    return (
        f"| {name} | {found['wall']:.1f} | {found['processor']:.1f} "
        f"| {found['processor'] / best:.2f} | {found['memory']:.0f} | {difference} |"
    )


if __name__ == "__main__":
    main()
