"""What a study costs: estimates from what was measured, plans of tables and runs, run times of jobs."""

from __future__ import annotations

import pytest
from toys_study import leave

from fasa import atomic
from fasa.cli import main
from fasa.study import Run, load_study
from fasa.study.cost import Costs, in_words, plan_of, plans, run_plans, runtime_minutes
from fasa.tasks.heartbeat import Heartbeat

COST = {
    "data": {
        "lvis": {
            "name": "glyphs",
            "options": {"classes": 4, "train_images": 8, "val_images": 4, "side": 64, "objects": [1, 2]},
        }
    },
    "model": "small",
    "threads": 1,
    "resources": {"gpu": 0, "mem_mb": 1500, "runtime": 45},
    "seconds": {"r50": 60, "r101": 90},
}
MEASURED = {**COST, "evaluate_seconds": 30, "disk_gb": {"r50": 0.5, "r101": 2}}
GPUS = {"gpu": 8, "mem_mb": 180000, "runtime": 45}


def leave_cost(study, recipe, seed, device_seconds, **changes):
    leave(study, recipe, seed, "cost.json", {"device_seconds": device_seconds}, **changes)
    (study.work_dir(recipe, seed) / "model.pt").touch()


# ------------------------------------------------------------------------------------------------------- one training
def test_a_detectors_guess_is_by_epoch_and_backbone(make_study):
    study = make_study(detection=COST)
    assert Costs(study).training("rfs") == (60 * 12, "guessed")
    assert Costs(study).training("rfs_r101_24") == (90 * 24, "guessed")


def test_what_a_run_took_replaces_the_guess(make_study):
    study = make_study(detection={**COST, "seeds": {"default": [0, 1, 2]}})
    leave_cost(study, "rfs", 0, 100.0)
    leave_cost(study, "rfs", 1, 200.0)
    leave_cost(study, "rfs", 2, 900.0, fingerprint="older")
    # Results alone, without the work folder, say it too.
    leave(study, "rfs_fa", 0, "provenance.json", {"device_seconds": 80.0})
    costs = Costs(study)
    assert costs.training("rfs") == (150.0, "measured") and costs.training("rfs_fa") == (80.0, "measured")
    # Akin to both, by epochs: 12 of (150 / 12 + 80 / 12) / 2, and twice as many of them.
    assert costs.training("rfs_fasa") == (pytest.approx(115.0), "akin")
    assert costs.training("rfs_24") == (pytest.approx(230.0), "akin")
    for other in ("rfs_r101_24", "crt", "coco_lt"):  # a larger backbone, a second stage, other data: not akin
        assert costs.training(other).source == "guessed", other
    leave_cost(study, "mask_rcnn_24", 0, 24.0)  # a second an epoch, of 24
    assert Costs(study).training("rfs_24").seconds == pytest.approx(24 * (150 / 12 + 80 / 12 + 1) / 3)
    (study.work_dir("mask_rcnn_24", 0) / "cost.json").unlink()
    (made,) = plans(study, ["ablation"], cores=2)
    # rfs has two of three seeds trained; rfs_fa 3 x 80; rfs_fasa and the control 3 x 115 each
    assert (made.runs, made.to_train, made.measured) == (12, 10, 10)
    assert made.seconds == pytest.approx(150 + 3 * 80 + 2 * 3 * 115)
    assert made.elapsed == made.seconds / 2  # two runs of one thread side by side


def test_a_running_training_says_what_it_will_take(make_study):
    study = make_study(detection=COST)
    beat = Heartbeat(study.job(Run("rfs", 0)), 12)
    beat.beat(0.5, 1.0, 10.0)
    assert Costs(study).training("rfs").source == "guessed"  # the first epoch warms up: too early to tell
    Heartbeat(study.job(Run("rfs", 0)), 12).beat(3.0, 1.0, 30.0)
    costs = Costs(study)
    assert costs.training("rfs") == (120.0, "running") and costs.training("rfs_24") == (240.0, "akin")
    leave_cost(study, "rfs", 0, 130.0)
    assert Costs(study).training("rfs") == (130.0, "measured")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"device_seconds": null}'])
def test_a_damaged_cost_is_none(make_study, text):
    study = make_study(detection=COST)
    atomic.write_text(study.work_dir("rfs", 0) / "cost.json", text)
    assert Costs(study).training("rfs").source == "guessed"


# -------------------------------------------------------------------------------------------------------------- plans
def test_what_two_runs_start_from_is_counted_once(make_study):
    study = make_study(detection=COST)
    whole, two, both = plans(study, ["state_of_the_art", "fig3"], cores=4)
    needed = {"mask_rcnn"} | set(study.figures["fig3"].recipes())
    recipes = {row.recipe for row in study.tables["state_of_the_art"].rows}
    assert whole.runs == len(recipes)  # mask_rcnn is a row, and stage one of four others
    assert two.runs == len(needed) == 5
    assert both.name == "all" and both.runs == len(recipes | needed)


def test_measuring_memory_and_disk_are_planned(make_study):
    study = make_study(detection=MEASURED)
    leave_cost(study, "rfs", 0, 100.0)
    (study.work_dir("rfs", 0) / "model.pt").write_bytes(bytes(4_000_000))
    (one,) = [plan for plan in run_plans(study, ["ablation"])["ablation"] if plan.run.recipe == "rfs"]
    assert (one.state, one.seconds) == ("trained", 30.0)
    left = sum(path.stat().st_size for path in study.work_dir("rfs", 0).iterdir())
    assert one.disk_gb == pytest.approx(left / 1e9) and left > 4_000_000
    (made,) = plans(study, ["ablation"], cores=1)
    assert made.memory_gb == 1.5 and made.gpus == 0
    assert made.seconds == pytest.approx(30 + 3 * (100 + 30))  # akin to rfs
    assert made.disk_gb == pytest.approx(3 * 0.5 + 0.004, abs=1e-3)
    assert plans(study, ["backbones"], cores=1)[0].disk_gb > 2


def test_what_measuring_took_replaces_the_guess(make_study):
    study = make_study(detection={**MEASURED, "seeds": {"default": [0, 1, 2]}})
    assert Costs(study).evaluation("rfs") == 30
    for seed, seconds, changes in ((0, 50.0, {}), (1, 70.0, {}), (2, 900.0, {"fingerprint": "older"})):
        leave(study, "rfs", seed, "provenance.json", {"evaluation_seconds": seconds}, **changes)
    costs = Costs(study)
    assert costs.evaluation("rfs") == costs.evaluation("rfs_fasa") == costs.evaluation("rfs_24") == 60  # its own, akin
    assert costs.evaluation("crt") == costs.evaluation("coco_lt") == costs.evaluation("rfs_r101_24") == 30
    # As results of before, which do not say it: of rfs_fasa, which is akin, nothing changes.
    leave(study, "rfs_fasa", 0, "provenance.json", {"device_seconds": 5.0})
    assert Costs(study).evaluation("rfs_fasa") == 60
    (made,) = plans(study, ["ablation"], cores=1)
    # rfs_fasa's three seeds at the 5 s of its first; the three other rows', of as many epochs, at the same.
    assert made.seconds == pytest.approx(12 * (5 + 60))


def test_one_seed_costs_a_third_of_three(make_study):
    study = make_study(detection={**COST, "seeds": {"default": [0], "ablation": [3, 4, 5]}})
    (three,), (one,) = (plans(study, ["ablation"], cores=1, seeds=seeds) for seeds in (None, [3]))
    assert (three.runs, one.runs) == (12, 4) and three.seconds == 3 * one.seconds
    assert {plan.run.seed for plan in run_plans(study, ["ablation"], seeds=[3, 8])["ablation"]} == {3, 8}


def test_no_run_ends_before_the_longest_and_gpus_are_not_the_cores(make_study):
    study = make_study(detection={**COST, "threads": 4})
    one = plan_of(study, [Run("rfs", 0)], cores=8)
    assert one.elapsed == one.seconds == 720
    many = plan_of(study, [Run("rfs", seed) for seed in range(6)], cores=8)
    assert many.elapsed == 6 * 720 * 4 / 8
    assert plan_of(study, [Run("rfs", seed) for seed in range(6)], cores=2).elapsed == 6 * 720  # as many as there are
    assert plan_of(study, [], cores=2).elapsed == 0
    on_gpus = make_study(detection={**COST, "resources": GPUS})
    assert plan_of(on_gpus, [Run("rfs", 0)], cores=2).elapsed is None


def test_the_plan_in_words(make_study):
    study = make_study(detection=COST)
    made = plan_of(study, [Run("rfs", 0), Run("rfs", 1)], cores=2)
    assert in_words(made) == (
        "2 runs to train, about 24 minutes of device time, 12 minutes on 2 cores (2 of them guessed), "
        "measuring included"
    )
    assert in_words(plan_of(study, [], cores=2)) == "no run to train"
    long = plan_of(study, [Run("rfs_r101_24", seed) for seed in range(10)], cores=1)
    on_a_cluster = plan_of(study, [Run("rfs", 0)], cores=None)
    assert in_words(on_a_cluster).startswith("1 run to train, about 12 minutes of device time (1 of")
    assert "about 6.0 hours of device time, 6.0 hours on 1 core " in in_words(long)


# -------------------------------------------------------------------------------------------------- a job's run time
@pytest.mark.parametrize(
    ("seconds", "minutes"),
    [
        (38000, 1430),  # 12 epochs on 8 GPUs: 57,000 s, with the margin 1,425 minutes
        (100, 30),  # never less
        (0, 45),  # no guess: the scale's own
    ],
)
def test_a_job_asks_for_its_estimate_and_half_as_much(make_study, seconds, minutes):
    study = make_study(detection={**COST, "resources": GPUS, "seconds": {"r50": seconds}})
    assert runtime_minutes(study, "rfs") == minutes


def test_what_jobs_ask_for_stays_while_a_workflow_runs(make_study):
    study = make_study(detection={**COST, "seconds": {"r50": 300}})
    assert runtime_minutes(study, "rfs") == 90
    leave_cost(study, "rfs", 0, 7200.0)
    assert runtime_minutes(study, "rfs") == 90
    assert runtime_minutes(load_study(study.root, "tiny"), "rfs") == 180


# --------------------------------------------------------------------------------------------------------- the command
def test_the_command_prints_tables_and_runs(make_study, monkeypatch, capsys):
    study = make_study(detection={**MEASURED, "resources": GPUS, "seeds": {"default": [0, 1]}})
    monkeypatch.chdir(study.root)
    assert main(["plan", "--scale", "tiny", "ablation"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "ablation" in line]
    # 8 runs of 720 s of 8 GPUs together and 30 s of measuring: 1.67 hours; 180 GB of memory, 4 of disk
    assert [cell.strip() for cell in line.split("│")[1:-1]] == ["ablation", "8", "8", "8", "1.7 h", "180.0", "4.00"]
    assert main(["plan", "--scale", "tiny", "ablation", "fig3", "--seed", "0", "--runs"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "guessed" in line]
    assert len(lines) == len(run_plans(study, ["ablation", "fig3"], [0])["all"])
    assert any([c.strip() for c in line.split("│")[1:6]] == ["rfs", "0", "missing", "8", "12 min"] for line in lines)
    assert main(["plan", "--scale", "tiny", "ablation", "--seed", "0", "7"]) == 0  # whatever seeds the scale has
    assert "│ ablation        │    8 │" in capsys.readouterr().out


def test_recipes_are_listed_with_their_rows_and_readers(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["plan", "--recipes", "ablation", "sampling"]) == 0
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if line.startswith("│")}
    assert {"rfs", "rfs_fa", "rfs_fasa", "rfs_fa_s15"} <= lines.keys() and "ldam" not in lines
    assert "Static (s = 15)" in lines["rfs_fa_s15"] and "│ sampling " in lines["rfs_fa_s15"]
    assert main(["plan", "--recipes", "rfs"]) == 2
    assert "'rfs': that is a recipe; ask for what reads it, ablation" in capsys.readouterr().err


def test_columns_of_zeros_and_hours_of_minutes_are_not_printed(make_study, monkeypatch, capsys):
    study = make_study(seconds={"resnet32": 100, "resnet34": 100})
    monkeypatch.chdir(study.root)
    assert main(["plan", "--scale", "tiny", "cifar_lt", "cifar_fig4a"]) == 0
    out = capsys.readouterr().out
    assert "GPUs" not in out and "not guessed" not in out and "0.00" not in out
    assert " min │" in out
    leave_cost(study, "ldam", 0, 7200.0)
    assert main(["plan", "--scale", "tiny", "cifar_lt"]) == 0
    assert "not guessed" in capsys.readouterr().out


def test_the_title_is_of_the_rows_that_it_stands_over(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    def title(*names: str) -> str:
        assert main(["plan", "--scale", "paper", *names]) == 0
        return " ".join(capsys.readouterr().out.partition("┏")[0].split())

    assert "one GPU a run" in title("cifar_lt") and "eight" not in title("cifar_lt")
    assert "eight GPUs a run" in title("ablation") and "one GPU" not in title("ablation")
    assert "one GPU a run. The paper's own size - LVIS v1 and COCO-LT, eight" in title("cifar_lt", "ablation")
