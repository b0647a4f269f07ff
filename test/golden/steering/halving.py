"""
Which trials Optuna's SuccessiveHalvingPruner stops, one trial after the other, on recorded series of figures: run where optuna is
installed, `python3 halving.py FOLDER` writes halving.json there. A figure that is no number is null. A trial that is at its end has
nothing to stop, but counts where others are asked.
"""

import json
import math
import os
import random
import sys

import optuna
from optuna.pruners import SuccessiveHalvingPruner
from optuna.trial import TrialState


def series(rng, trials, evaluations, coarse, broken):
    rows = []
    for _ in range(trials):
        level = 2 * rng.random()
        row = [round(level + 1 / (e + 1) + 0.3 * rng.random(), 1 if coarse else 4) for e in range(evaluations)]
        rows.append([math.nan if broken and rng.random() < 0.03 else figure for figure in row])
    return rows


def stops(rows, reduction_factor, grace_period, greater_is_better):
    study = optuna.create_study(
        direction="maximize" if greater_is_better else "minimize",
        pruner=SuccessiveHalvingPruner(min_resource=grace_period, reduction_factor=reduction_factor),
    )
    stopped = []
    for row in rows:
        trial = study.ask()
        at = None
        for evaluation, figure in enumerate(row, 1):
            trial.report(figure, evaluation)
            if trial.should_prune() and evaluation < len(row):
                at = evaluation
                break
        state = TrialState.PRUNED if at or math.isnan(row[-1]) else TrialState.COMPLETE
        study.tell(trial, row[-1] if state == TrialState.COMPLETE else None, state=state)
        stopped.append(at)
    return stopped


def main(folder):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rng = random.Random(20)
    searches = []
    for n in range(24):
        reduction_factor, grace_period, greater_is_better = [2, 3, 4][n % 3], [1, 2, 3][n // 3 % 3], n % 2 == 1
        rows = series(rng, rng.choice([6, 12, 20]), rng.choice([4, 9, 17]), coarse=n % 4 == 0, broken=n % 5 == 0)
        searches.append(
            {
                "reduction_factor": reduction_factor,
                "grace_period": grace_period,
                "greater_is_better": greater_is_better,
                "figures": [[None if math.isnan(figure) else figure for figure in row] for row in rows],
                "stopped": stops(rows, reduction_factor, grace_period, greater_is_better),
            }
        )
    with open(os.path.join(folder, "halving.json"), "w") as file:
        json.dump({"optuna": optuna.__version__, "searches": searches}, file, separators=(",", ":"))
        file.write("\n")


main(sys.argv[1])
