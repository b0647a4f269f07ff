# Writes statistics.json: what scipy and scikit-learn compute, on data made here. Run as: python3 statistics.py statistics.json
import json, sys
import numpy as np, scipy, sklearn
from scipy import stats
from sklearn import metrics
rng = np.random.default_rng(7)
out = {"versions": {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}}
names = ["alt.atheism", "comp.graphics", "rec.autos", "sci.med", "talk.politics.misc"]
cls = []
for n, skill, absent in [(300, 0.7, False), (40, 0.3, True), (12, 0.0, False), (25, 1.0, False)]:
    gold = rng.choice(5 - (1 if absent else 0), n, p=None)
    guess = np.where(rng.random(n) < skill, gold, rng.choice(6, n))   # 5: an answer that is no label
    y, p = [names[i] for i in gold], [(names + ["unparsed"])[i] for i in guess]
    f = lambda kind: float(metrics.f1_score(y, p, average=kind, labels=names, zero_division=0))
    prf = metrics.precision_recall_fscore_support(y, p, labels=names, zero_division=0)
    cls.append({"labels": names, "gold": y, "guess": p, "accuracy": float(metrics.accuracy_score(y, p)),
        "macro_f1": f("macro"), "micro_f1": f("micro"), "weighted_f1": f("weighted"),
        "precision": prf[0].tolist(), "recall": prf[1].tolist(), "f1": prf[2].tolist(), "support": prf[3].tolist(),
        "matthews": float(metrics.matthews_corrcoef(y, p)), "kappa": float(metrics.cohen_kappa_score(y, p)),
        "confusion": metrics.confusion_matrix(y, p, labels=names + ["unparsed"]).tolist()})
out["classification"] = cls
boot = []
for kind, n in [("hits", 300), ("hits", 30), ("rouge", 200), ("skewed", 60)]:
    x = {"hits": lambda: (rng.random(n) < 0.72).astype(float), "rouge": lambda: np.round(rng.beta(3, 4, n), 4),
         "skewed": lambda: np.round(rng.exponential(1, n), 4)}[kind]()
    rows = {"kind": kind, "x": x.tolist(), "mean": float(x.mean()), "sem": float(stats.sem(x))}
    for method in ["percentile", "basic", "BCa"]:
        r = stats.bootstrap((x,), np.mean, n_resamples=200000, confidence_level=0.95, method=method, batch=20000, rng=np.random.default_rng(1))
        rows[method] = [float(r.confidence_interval.low), float(r.confidence_interval.high)]
    rows["standard_error"] = float(r.standard_error)
    boot.append(rows)
out["bootstrap"] = boot
pairs = []
for kind, n, gap in [("hits", 300, 0.06), ("hits", 12, 0.3), ("rouge", 150, 0.02), ("rouge", 9, 0.1), ("hits", 20, 0.0)]:
    if kind == "hits":
        base = rng.random(n); a = (base < 0.6 + gap).astype(float); b = np.where(rng.random(n) < 0.8, base < 0.6, rng.random(n) < 0.6).astype(float)
    else:
        b = np.round(rng.beta(3, 4, n), 3); a = np.round(np.clip(b + rng.normal(gap, 0.08, n), 0, 1), 3)
    d = a - b
    row = {"kind": kind, "a": a.tolist(), "b": b.tolist(), "difference": float(d.mean())}
    if kind == "hits":
        better, worse = int((d > 0).sum()), int((d < 0).sum())
        row |= {"better": better, "worse": worse, "mcnemar_exact": float(stats.binomtest(better, better + worse, 0.5).pvalue) if better + worse else 1.0}
    exact = n <= 12
    r = stats.permutation_test((a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True,
                               n_resamples=np.inf if exact else 200000, batch=None if exact else 20000, rng=np.random.default_rng(2))
    row |= {"permutation": float(r.pvalue), "permutation_exact": exact}
    if d.std() > 0: row |= {"t_test": float(stats.ttest_rel(a, b).pvalue), "wilcoxon": float(stats.wilcoxon(a, b, method="approx", correction=False, zero_method="wilcox").pvalue)}
    r = stats.bootstrap((a, b), lambda x, y, axis=-1: np.mean(x - y, axis=axis), paired=True, n_resamples=200000, method="percentile", batch=20000, rng=np.random.default_rng(3))
    row["bootstrap"] = [float(r.confidence_interval.low), float(r.confidence_interval.high)]
    pairs.append(row)
out["paired"] = pairs
seeds = []
for x in [[0.7310, 0.7402, 0.7255], [52.84, 53.1, 52.2, 53.9, 52.7], [0.5, 0.75]]:
    m, s = float(np.mean(x)), float(np.std(x, ddof=1))
    lo, hi = stats.t.interval(0.95, len(x) - 1, loc=m, scale=stats.sem(x))
    seeds.append({"x": x, "mean": m, "deviation": s, "t_interval": [float(lo), float(hi)]})
out["seeds"] = seeds
json.dump(out, open(sys.argv[1], "w"))
print({k: len(v) for k, v in out.items()}, out["versions"])
