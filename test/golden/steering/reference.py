"""
What transformers does on recorded series of validation figures, and the rates and losses that it computes: run where torch and
transformers are installed, `python3 reference.py FOLDER` writes early-stopping.json, schedules.json and label-smoothing.json there.

A model of one weight that grows by 1 with each step stands in for a model, so that the weight which is left at the end says which
checkpoint was loaded; `evaluate` gives the series' next figure. All decisions are those of Trainer and EarlyStoppingCallback.
"""

import json
import math
import os
import random
import shutil
import sys
import tempfile

import torch
import transformers
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments
from transformers.optimization import get_scheduler
from transformers.trainer_pt_utils import LabelSmoother

transformers.logging.set_verbosity_error()


class Counter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x=None, labels=None):
        return {"loss": -self.weight.sum() + 0 * x.float().sum()}


class Recorded(Trainer):
    def __init__(self, series, metric, **kwargs):
        super().__init__(**kwargs)
        self.series, self.metric, self.asked = series, metric, []

    def evaluate(self, *args, **kwargs):
        figure = self.series[len(self.asked)]
        self.asked.append(self.state.global_step)
        metrics = {self.metric: figure}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def steps_in(folder):
    return sorted(int(name.split("-")[1]) for name in os.listdir(folder) if name.startswith("checkpoint-"))


def train(case, rows):
    folder = tempfile.mkdtemp()
    try:
        by_epoch = case["eval_strategy"] == "epoch"
        args = TrainingArguments(
            output_dir=folder, use_cpu=True, report_to=[], logging_strategy="no", disable_tqdm=True,
            optim="sgd", learning_rate=1.0, lr_scheduler_type="constant", max_grad_norm=0.0, weight_decay=0.0,
            per_device_train_batch_size=1, num_train_epochs=case["num_train_epochs"],
            eval_strategy=case["eval_strategy"], save_strategy=case["eval_strategy"],
            **({} if by_epoch else {"eval_steps": case["eval_steps"], "save_steps": case["eval_steps"]}),
            load_best_model_at_end=case["load_best_model_at_end"], metric_for_best_model=case["metric_for_best_model"],
            greater_is_better=case["greater_is_better"], save_total_limit=case["save_total_limit"],
        )
        callbacks = []
        if case["early_stopping_patience"] is not None:
            callbacks = [EarlyStoppingCallback(case["early_stopping_patience"], case["early_stopping_threshold"])]
        data = [{"x": torch.tensor([0.0])} for _ in range(rows)]
        trainer = Recorded(
            case["series"], f"eval_{case['metric_for_best_model']}",
            model=Counter(), args=args, train_dataset=data, eval_dataset=data, callbacks=callbacks,
        )
        trainer.train()
        best = trainer.state.best_model_checkpoint
        return {
            "evaluated": trainer.asked,
            "stopped": trainer.state.global_step,
            "best": None if best is None else int(best.split("-")[-1]),
            "best_metric": trainer.state.best_metric,
            "weight": round(trainer.model.weight.item()),
            "kept": steps_in(folder),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def early_stopping(count):
    rng = random.Random(5)
    cases = []
    for number in range(count):
        greater = rng.random() < 0.4
        metric = rng.choice(["accuracy", "rougeL"]) if greater else "loss"
        rows = rng.randint(3, 8)
        epochs = rng.randint(2, 5)
        by_epoch = rng.random() < 0.3
        eval_steps = rng.randint(1, 4)
        total = rows * epochs
        needed = epochs if by_epoch else total // eval_steps + 2
        kind = rng.choice(["falls", "turns", "noise", "flat", "ties"])
        figure, series = rng.uniform(1, 3), []
        for i in range(needed + 1):
            step = {
                "falls": -rng.uniform(0, 0.3), "turns": -0.2 if i < needed / 2 else 0.15, "noise": rng.uniform(-0.4, 0.4),
                "flat": 0.0, "ties": rng.choice([0.0, 0.0, -0.1, 0.1]),
            }[kind]
            figure += step
            series.append(round(-figure if greater else figure, 4))
        if rng.random() < 0.1:
            series[rng.randrange(len(series))] = rng.choice([math.nan, math.inf, -math.inf])
        stopping = rng.random() < 0.85
        case = {
            "eval_strategy": "epoch" if by_epoch else "steps", "eval_steps": None if by_epoch else eval_steps,
            "rows": rows, "num_train_epochs": epochs, "metric_for_best_model": metric, "greater_is_better": greater,
            "load_best_model_at_end": True if stopping else rng.random() < 0.7,
            "early_stopping_patience": rng.randint(1, 4) if stopping else None,
            "early_stopping_threshold": rng.choice([0.0, 0.0, 0.05, 0.2]) if stopping else None,
            "save_total_limit": rng.choice([None, 1, 1, 2, 3]),
            "series": series,
        }
        cases.append({**case, "expected": train(case, rows)})
    return cases


def schedules():
    cases = []
    for name, own in [
        ("constant", [{}]), ("constant_with_warmup", [{}]), ("linear", [{}]), ("cosine", [{}, {"num_cycles": 1.5}]),
        ("cosine_with_restarts", [{}, {"num_cycles": 3}]),
        ("polynomial", [{}, {"power": 2.0, "lr_end": 1e-5}]),
        ("inverse_sqrt", [{}, {"timescale": 7}]),
        ("cosine_with_min_lr", [{"min_lr_rate": 0.1}]),
        ("warmup_stable_decay", [
            {"num_decay_steps": 9}, {"num_decay_steps": 9, "min_lr_ratio": 0.1, "decay_type": "linear", "warmup_type": "cosine"},
            {"num_decay_steps": 9, "decay_type": "1-sqrt"}, {"num_decay_steps": 9, "num_cycles": 1.5},
        ]),
    ]:
        for kwargs in own:
            for warmup, total in [(0, 20), (4, 20), (6, 31), (3, 3)]:
                if name == "warmup_stable_decay" and warmup + kwargs["num_decay_steps"] > total:
                    continue
                weight = torch.nn.Parameter(torch.zeros(1))
                optimizer = torch.optim.SGD([weight], lr=2e-4)
                scheduler = get_scheduler(
                    name, optimizer, num_warmup_steps=warmup, num_training_steps=total, scheduler_specific_kwargs=kwargs,
                )
                rates = [scheduler.get_last_lr()[0]]
                # The rate behind the last step is never used; some schedules have none.
                for _ in range(total - 1):
                    optimizer.step()
                    scheduler.step()
                    rates.append(scheduler.get_last_lr()[0])
                cases.append({"name": name, "kwargs": kwargs, "learning_rate": 2e-4, "warmup_steps": warmup, "total": total, "rates": rates})
    return cases


def label_smoothing():
    rng = torch.Generator().manual_seed(3)
    cases = []
    for rows, vocab, epsilon in [(5, 7, 0.1), (9, 33, 0.25), (4, 3, 0.0)]:
        logits = (3 * torch.randn(1, rows, vocab, generator=rng)).requires_grad_()
        labels = torch.randint(0, vocab, (1, rows), generator=rng)
        labels[0, 1] = -100
        loss = LabelSmoother(epsilon)({"logits": logits}, labels)
        loss.backward()
        cases.append({
            "epsilon": epsilon, "logits": logits[0].tolist(), "labels": labels[0].tolist(), "loss": loss.item(),
            "gradient": logits.grad[0].tolist(),
        })
    return cases


def plain(value):
    """JSON has no NaN and no infinities: these are strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def main():
    folder = sys.argv[1]
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    for name, make in [
        ("schedules", schedules), ("label-smoothing", label_smoothing), ("early-stopping", lambda: early_stopping(160)),
    ]:
        with open(os.path.join(folder, f"{name}.json"), "w") as file:
            json.dump(plain({**versions, "cases": make()}), file)


if __name__ == "__main__":
    main()
