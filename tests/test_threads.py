"""The thread team's life: counts, many callers, forks, signal handlers, exit; see also tests/cpp/team_stress.cpp."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.process import output_of, run_python

import pyrnn
from pyrnn import _engine, ops

# A small LSTM call, the same in every process; `small(workers)` runs it on that many workers.
PREAMBLE = """
import os, signal, threading, time
import numpy as np
import pyrnn
from pyrnn import _engine, ops

def arrays(T, B, D, H):
    rng = np.random.default_rng(7)
    return [rng.uniform(-0.5, 0.5, shape).astype("float32") for shape in [(T, B, D), (D, 4 * H), (H, 4 * H), (4 * H,)]]

def small(workers=2):
    y, _, _ = ops.forward("lstm", *arrays(20, 8, 5, 33), _force={"batch": workers})
    return y, _engine.last_report()

def run_in_child(check):
    # A hang of the child ends it by a signal, which the parent sees.
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(60)
            check()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0

def check_small():
    y, report = small(3)
    assert report["workers"] == 3 and not report["busy"], report
    assert np.array_equal(y, expected)

expected, _ = small(1)
"""


def lstm_arrays(T: int, B: int, D: int, H: int) -> list[Any]:
    rng = np.random.default_rng(7)
    shapes = [(T, B, D), (D, 4 * H), (H, 4 * H), (4 * H,)]
    return [rng.uniform(-0.5, 0.5, shape).astype("float32") for shape in shapes]


@pytest.fixture
def restore_num_threads() -> Any:
    before = pyrnn.get_num_threads()
    yield
    pyrnn.set_num_threads(before)


@pytest.mark.usefixtures("restore_num_threads")
def test_number_of_threads_can_be_set() -> None:
    for n in (1, 3, np.int64(2), 1024):
        pyrnn.set_num_threads(n)
        assert pyrnn.get_num_threads() == n
        config = pyrnn.show_config("dict")
        assert (config["threads"], config["threads_from"]) == (n, "set_num_threads")


@pytest.mark.parametrize("n", [0, -1, 1025, 2**70, -(2**70)])
def test_number_of_threads_out_of_range(n: int) -> None:
    with pytest.raises(ValueError, match=rf"^n: expected a whole number from 1 to 1024, got {n}$"):
        pyrnn.set_num_threads(n)


@pytest.mark.parametrize("n", [True, 1.0, "2", None, [2]], ids=repr)
def test_number_of_threads_of_another_type(n: Any) -> None:
    with pytest.raises(TypeError, match=rf"^n: expected a whole number from 1 to 1024, got {type(n).__name__}$"):
        pyrnn.set_num_threads(n)


@pytest.mark.parametrize("value", ["0", "-1", "1025", "two", "1.5", "+2", " 2", "99999999999999999999"])
def test_bad_PYRNN_NUM_THREADS_stops_the_import(value: str) -> None:
    done = run_python("import pyrnn", PYRNN_NUM_THREADS=value)
    assert done.returncode == 1
    message = f"PYRNN_NUM_THREADS: expected a whole number from 1 to 1024, got '{value}'"
    assert message in done.stderr.splitlines()[-1]


def test_PYRNN_NUM_THREADS() -> None:
    code = "import pyrnn; print(pyrnn.get_num_threads(), pyrnn.show_config('dict')['threads_from'])"
    assert output_of(code, PYRNN_NUM_THREADS="3") == "3 PYRNN_NUM_THREADS"
    usable = pyrnn.show_config("dict")["usable_cpus"]
    assert output_of(code, PYRNN_NUM_THREADS="") == output_of(code) == f"{usable} usable CPUs"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_is_respected() -> None:
    code = """
    import os
    import pyrnn
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    config = pyrnn.show_config("dict")
    print(pyrnn.get_num_threads(), config["usable_cpus"], config["usable_cpus_why"])
    """
    assert output_of(code).startswith("1 1 affinity allows 1, ")


V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V2_BELOW = "30 23 0:26 /box /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
V1_MEMORY = "32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"


@pytest.mark.parametrize(
    ("mounts", "cgroups", "files", "quota"),
    [
        pytest.param("", "", {}, 0, id="no cgroups"),
        pytest.param(V2, "0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, 0, id="v2 without limit"),
        pytest.param(V2, "0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 1.5, id="v2"),
        pytest.param(V2, "0::/\n", {"cpu.max": "50000 100000\n"}, 0.5, id="v2 at the mount"),
        pytest.param(
            V2, "0::/a/b\n", {"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "300000 100000\n"}, 3, id="v2 of a parent"
        ),
        pytest.param(V2_BELOW, "0::/box/b\n", {"b/cpu.max": "200000 100000\n"}, 2, id="v2 of a container"),
        pytest.param(V2_BELOW, "0::/../x\n", {"cpu.max": "200000 100000\n"}, 2, id="v2 path from outside"),
        pytest.param(V2, "0::/a\n", {"a/cpu.max": "rubbish\n"}, 0, id="v2 unreadable"),
        pytest.param(
            V1_MEMORY + V1,
            "5:memory:/m\n4:cpu,cpuacct:/a\n0::/z\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"},
            2.5,
            id="v1",
        ),
        pytest.param(
            V1,
            "4:cpu,cpuacct:/a\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"},
            0,
            id="v1 without limit",
        ),
    ],
)
def test_cgroup_quota_is_found(tmp_path: Path, mounts: str, cgroups: str, files: dict[str, str], quota: float) -> None:
    texts = {"proc/self/mountinfo": mounts, "proc/self/cgroup": cgroups}
    texts |= {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _engine._cgroup_cpu_quota(str(tmp_path)) == quota


def test_threads_is_a_ceiling() -> None:
    arrays = lstm_arrays(60, 64, 32, 128)  # enough work for many workers
    for threads in (1, 2, 3):
        ops.forward("lstm", *arrays, threads=threads)
        report = _engine.last_report()
        assert 1 <= report["workers"] <= threads
        assert report["workers"] == report["direction_parts"] * report["batch_parts"] * report["unit_parts"]


def test_short_calls_wait_for_no_sleeping_team_and_wake_it_where_they_follow_closely() -> None:
    assert (
        output_of("""
import time
import numpy as np
import pyrnn
from pyrnn import _engine, ops

pyrnn.set_num_threads(2)
rng = np.random.default_rng(7)
weights = ops.Weights("lstm", *(rng.uniform(-0.5, 0.5, shape).astype("float32") for shape in [(64, 512), (128, 512)]))
x = rng.uniform(-0.5, 0.5, (1, 16, 64)).astype("float32")

def workers():
    ops.forward("lstm", x, weights)
    return _engine.last_report()["workers"]

assert workers() == 1  # there is no team yet
end = time.monotonic() + 60
while workers() == 1:
    assert time.monotonic() < end, "calls in close succession never had the team"
if pyrnn.show_config("dict")["thread_back_end"] == "std::thread":
    time.sleep(1)  # the team goes to sleep after 0.2 ms
    assert workers() == 1
""")
        == ""
    )


@pytest.mark.parametrize("split", [{"batch": 2}, {"batch": 3}, {"units": 2}, {"units": 3}, {"batch": 2, "units": 2}])
def test_more_workers_than_cpus(split: dict[str, int]) -> None:
    arrays = lstm_arrays(300, 8, 5, 65)
    alone, _, _ = ops.forward("lstm", *arrays, threads=1)
    y, _, _ = ops.forward("lstm", *arrays, _force=split)
    report = _engine.last_report()
    assert report["workers"] == np.prod(list(split.values()))
    assert not report["busy"]
    assert np.array_equal(y, alone)


def test_eight_python_threads() -> None:
    arrays = lstm_arrays(40, 8, 16, 64)
    y, _, tape = ops.forward("lstm", *arrays, tape=True, threads=1)
    expected = (y, ops.backward(tape, y, threads=1))
    start = threading.Barrier(8)

    def calls(_: int) -> list[dict[str, Any]]:
        reports = []
        start.wait()
        for _ in range(10):
            y, _, tape = ops.forward("lstm", *arrays, tape=True, _force={"batch": 3})
            reports.append(_engine.last_report())
            gradients = ops.backward(tape, y, _force={"units": 2})
            reports.append(_engine.last_report())
            assert np.array_equal(y, expected[0])
            for name in ("x", "W_x", "W_h", "b"):
                assert np.array_equal(getattr(gradients, name), getattr(expected[1], name))
        return reports

    with ThreadPoolExecutor(8) as pool:
        reports = [report for of_thread in pool.map(calls, range(8)) for report in of_thread]
    for report in reports:
        alone = 1 if report["busy"] else {"forward": 3, "backward": 2}[report["call"]]
        assert report["workers"] == alone, report
    assert any(report["workers"] > 1 for report in reports)


def test_report_belongs_to_the_thread() -> None:
    arrays = lstm_arrays(3, 4, 5, 6)
    ops.forward("lstm", *arrays, _force={"batch": 2})
    other = threading.Thread(target=ops.forward, args=("lstm", *arrays), kwargs={"_force": {"batch": 3}})
    other.start()
    other.join()
    assert _engine.last_report()["workers"] == 2


# Long calls that a timer interrupts. A call in the handler finds the team busy if the long one was under way, and not
# just before or after it; INSIDE is what the handler does then. It must say `inside = True` or end the loop.
INTERRUPTED = (
    PREAMBLE
    + """
long_arrays = arrays(6000, 8, 64, 128)

def long():
    state = ops.forward("lstm", *long_arrays, sequences=False, _force={"batch": 2})[1]
    assert _engine.last_report()["workers"] == 2
    return state

long_expected = long()
inside = False
child = None

def handler(*_):
    global inside, child
    y, report = small(2)
    assert report["workers"] == (1 if report["busy"] else 2), report
    assert np.array_equal(y, expected)
    if report["busy"] and not inside:
        inside = True
        INSIDE

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
for _ in range(100):
    try:
        state = long()
    except KeyboardInterrupt:
        assert inside
    if inside:
        break
signal.setitimer(signal.ITIMER_REAL, 0)
assert inside
AFTER
check_small()
"""
)


def test_signal_handler_may_call_the_engine() -> None:
    """The interrupted call has the team, so the handler's runs alone: shown by the report."""
    output_of(INTERRUPTED.replace("INSIDE", "pass").replace("AFTER", "assert np.array_equal(state, long_expected)"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_signal_handler_may_fork_and_the_child_finishes_the_call() -> None:
    after = """
assert np.array_equal(state, long_expected)
check_small()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    output_of(INTERRUPTED.replace("INSIDE", "child = os.fork()").replace("AFTER", after))


def test_interrupted_call_gives_the_team_back() -> None:
    output_of(INTERRUPTED.replace("INSIDE", "raise KeyboardInterrupt").replace("AFTER", ""))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork_of_an_idle_team() -> None:
    output_of(PREAMBLE + "check_small()\nrun_in_child(check_small)\ntime.sleep(0.05)\nrun_in_child(check_small)")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork_during_another_threads_call() -> None:
    code = """
stop = False

def others_calls():
    while not stop:
        ops.forward("lstm", *arrays(200, 8, 32, 128), sequences=False, _force={"units": 2})

other = threading.Thread(target=others_calls)
other.start()
try:
    for _ in range(20):
        time.sleep(0.003)
        run_in_child(check_small)
        run_in_child(lambda: run_in_child(check_small))
finally:
    stop = True
    other.join()
check_small()
"""
    output_of(PREAMBLE + code)


@pytest.mark.parametrize("pause_s", [0, 0.2], ids=["awake", "asleep"])
def test_exit_with_idle_workers(pause_s: float) -> None:
    assert output_of(PREAMBLE + f"check_small()\ntime.sleep({pause_s})\nprint('end')") == "end"


def test_exit_during_a_daemon_threads_call() -> None:
    code = """
def calls():
    while True:
        ops.forward("lstm", *arrays(200, 8, 32, 128), sequences=False, _force={"batch": 2})

threading.Thread(target=calls, daemon=True).start()
time.sleep(0.1)
print("end")
"""
    assert output_of(PREAMBLE + code) == "end"


def test_idle_workers_sleep() -> None:
    """After a moment of waiting the team uses no CPU time."""
    code = """
check_small()
time.sleep(0.1)
before = time.process_time()
time.sleep(0.5)
assert time.process_time() - before < 0.1
"""
    output_of(PREAMBLE + code)


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or not pyrnn.show_config("dict")["thread_back_end"].startswith("std"),
    reason="only the std::thread team on Linux places its workers",
)
def test_workers_stay_off_the_callers_cpu() -> None:
    """As many threads as CPUs: each worker has CPUs of its own, and none of them is the caller's."""
    code = """
allowed = os.sched_getaffinity(0)
if len(allowed) > 1:
    before = set(os.listdir("/proc/self/task"))
    small(2)
    (worker,) = set(os.listdir("/proc/self/task")) - before
    own = os.sched_getaffinity(int(worker))
    assert own and own < allowed and len(own) == len(allowed) - 1, (own, allowed)
    small(len(allowed) + 1)
    for thread in set(os.listdir("/proc/self/task")) - before:
        assert os.sched_getaffinity(int(thread)) == allowed
"""
    output_of(PREAMBLE + code)
