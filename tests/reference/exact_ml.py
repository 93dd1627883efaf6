"""Maximum likelihood without the Laplace approximation, also for models glmer's AGQ cannot do.

Three kinds of model are integrated with a (tensor) trapezoid rule in standard-normal units
(spectrally accurate for these smooth integrands; the step is halved until nothing changes):
  intercept  y ~ X + (1|g)               binary or binomial response
  nested     y ~ X + (1|outer/inner)       inner integral per inner group, outer per outer group
  slope      y ~ X + (1 + x|g)             two correlated effects, covariance L L'

Needs numpy, scipy, pandas, formulae.  Run from this folder, after reference.json was written:
    python exact_ml.py reference.json exact_ml.json guimmun_nested:nested contraception_slope:slope
"all:intercept" stands for every model with one scalar random effect.
"""
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from formulae import design_matrices
from scipy.optimize import minimize
from scipy.special import expit, gammaln, logsumexp


DATA = Path(__file__).resolve().parents[2] / "hierlogit" / "datasets"


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


class Nested:
    """parameters: beta, log sd(inner), log sd(outer)"""

    def __init__(self, X, y, outer, inner, h=0.2, lim=6.4):
        o = np.unique(outer, return_inverse=True)[1]
        key = pd.Series(list(zip(o, inner)))
        m = pd.factorize(key)[0]
        order = np.lexsort((m, o))
        self.X, self.y = X[order], y[order]
        o, m = o[order], m[order]
        self.m_start = np.flatnonzero(np.r_[True, m[1:] != m[:-1]])
        self.rep_m = np.repeat(np.arange(len(self.m_start)), np.diff(np.r_[self.m_start, len(m)]))
        om = o[self.m_start]
        self.o_start = np.flatnonzero(np.r_[True, om[1:] != om[:-1]])
        self.rep_o = np.repeat(np.arange(len(self.o_start)), np.diff(np.r_[self.o_start, len(om)]))
        g = np.arange(-lim, lim + h / 2, h)
        self.g = g
        self.lw = -0.5 * g**2 - 0.5 * np.log(2 * np.pi) + np.log(h)

    def __call__(self, par, grad=True):
        p = self.X.shape[1]
        b, s2, s3 = par[:p], np.exp(par[p]), np.exp(par[p + 1])
        eta0 = self.X @ b
        g, lw = self.g, self.lw
        K = len(g)
        L = np.empty((len(self.m_start), K, K))
        for k in range(K):                                     # outer node k
            eta = eta0[:, None] + s3 * g[k] + s2 * g[None, :]
            L[:, k, :] = np.add.reduceat(self.y[:, None] * eta - softplus(eta), self.m_start, axis=0)
        L += lw[None, None, :]
        lm = logsumexp(L, axis=2)                              # log integral over the inner effect
        lo = np.add.reduceat(lm, self.o_start, axis=0) + lw[None, :]
        lt = logsumexp(lo, axis=1)
        ll = lt.sum()
        if not grad:
            return ll
        Wo = np.exp(lo - lt[:, None])                          # posterior of the outer node
        gb, g2, g3 = np.zeros(p), 0.0, 0.0
        for k in range(K):
            w = np.exp(L[:, k, :] - lm[:, k][:, None]) * Wo[self.rep_o, k][:, None]
            eta = eta0[:, None] + s3 * g[k] + s2 * g[None, :]
            r = (self.y[:, None] - expit(eta)) * w[self.rep_m]
            gb += self.X.T @ r.sum(1)
            c = r.sum(0)
            g2 += s2 * (c * g).sum()
            g3 += s3 * g[k] * c.sum()
        return ll, np.r_[gb, g2, g3]

    names = ("log_sd_inner", "log_sd_outer")

    @staticmethod
    def unpack(t):
        return {"sd": {"inner": float(np.exp(t[0])), "outer": float(np.exp(t[1]))}}


class Intercept:
    """parameters: beta, log sd; binary or binomial response (n trials)"""

    def __init__(self, X, y, n, group, h=0.1, lim=8.0):
        o = np.unique(group, return_inverse=True)[1]
        order = np.argsort(o, kind="stable")
        self.X, self.y, self.n = X[order], y[order], n[order]
        o = o[order]
        self.start = np.flatnonzero(np.r_[True, o[1:] != o[:-1]])
        self.rep = np.repeat(np.arange(len(self.start)), np.diff(np.r_[self.start, len(o)]))
        self.g = np.arange(-lim, lim + h / 2, h)
        self.lw = -0.5 * self.g**2 - 0.5 * np.log(2 * np.pi) + np.log(h)
        self.const = float(np.sum(gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)))

    names = ("log_sd",)

    def __call__(self, par, grad=True):
        p = self.X.shape[1]
        s = np.exp(par[p])
        y, n, g = self.y[:, None], self.n[:, None], self.g
        eta = (self.X @ par[:p])[:, None] + s * g[None, :]
        L = np.add.reduceat(y * eta - n * softplus(eta), self.start, axis=0) + self.lw
        lt = logsumexp(L, axis=1)
        ll = lt.sum() + self.const
        if not grad:
            return ll
        r = (y - n * expit(eta)) * np.exp(L - lt[:, None])[self.rep]
        return ll, np.r_[self.X.T @ r.sum(1), s * (r.sum(0) @ g)]

    @staticmethod
    def unpack(t):
        return {"sd": {"intercept": float(np.exp(t[0]))}}


class Slope:
    """parameters: beta, Cholesky entries l11, l21, l22 of the covariance of (intercept, slope)"""

    def __init__(self, X, y, x, group, h=0.1, lim=6.0):
        o = np.unique(group, return_inverse=True)[1]
        order = np.argsort(o, kind="stable")
        self.X, self.y, self.x = X[order], y[order], x[order]
        self.o = o[order]
        self.start = np.flatnonzero(np.r_[True, self.o[1:] != self.o[:-1]])
        self.rep = np.repeat(np.arange(len(self.start)), np.diff(np.r_[self.start, len(o)]))
        self.g = np.arange(-lim, lim + h / 2, h)
        self.lw = -0.5 * self.g**2 - 0.5 * np.log(2 * np.pi) + np.log(h)

    names = ("l11", "l21", "l22")

    def __call__(self, par, grad=True):
        p = self.X.shape[1]
        b, l11, l21, l22 = par[:p], *par[p:]
        eta0 = self.X @ b
        g, lw, x = self.g, self.lw, self.x
        K = len(g)
        L = np.empty((len(self.start), K, K))
        for k in range(K):                                     # z1 = g[k]; z2 = g
            eta = eta0[:, None] + ((l11 + l21 * x) * g[k])[:, None] + (l22 * x)[:, None] * g[None, :]
            L[:, k, :] = np.add.reduceat(self.y[:, None] * eta - softplus(eta), self.start, axis=0)
        L += lw[None, :, None] + lw[None, None, :]
        lt = logsumexp(L, axis=(1, 2))
        if not grad:
            return lt.sum()
        gb, gl = np.zeros(p), np.zeros(3)
        for k in range(K):
            w = np.exp(L[:, k, :] - lt[:, None])
            eta = eta0[:, None] + ((l11 + l21 * x) * g[k])[:, None] + (l22 * x)[:, None] * g[None, :]
            r = (self.y[:, None] - expit(eta)) * w[self.rep]
            rs = r.sum(1)
            gb += self.X.T @ rs
            gl[0] += g[k] * rs.sum()
            gl[1] += g[k] * (rs @ x)
            gl[2] += x @ (r @ g)
        return lt.sum(), np.r_[gb, gl]

    @staticmethod
    def unpack(t):
        s = np.array([[t[0], 0], [t[1], t[2]]])
        v = s @ s.T
        sd = np.sqrt(np.diag(v))
        return {"sd": {"intercept": float(sd[0]), "slope": float(sd[1])},
                "corr": float(v[0, 1] / sd[0] / sd[1]) if sd.min() > 0 else None}


def load(R, mid):
    m = R["models"][mid]
    name = next(k for k, v in R["datasets"].items() if v["file"] == m["data"])
    d = pd.read_csv(DATA / m["data"])
    for c, lv in R["datasets"][name]["levels"].items():
        d[c] = pd.Categorical(d[c].astype(str), categories=lv, ordered=True)
    lhs, rhs = m["python_formula"].split("~")
    dm = design_matrices(m["python_formula"], d)
    X = dm.common.as_dataframe()[m["fixed_names"]["python"]].to_numpy(float)
    return m, d, X, d["successes" if "prop(" in lhs else lhs.strip()].to_numpy(float)


def run(R, mid, kind):
    m, d, X, y = load(R, mid)
    lap = m["lme4_laplace"]
    names = m["fixed_names"]["python"]
    beta0 = np.array([lap["fixef"][n]["estimate"] for n in names])
    blk = lap["random"]
    if kind == "intercept":
        gn = m["python_formula"].split("(1|")[1].rstrip(")")
        n = d["size"].to_numpy(float) if m["family"] == "binomial" else np.ones(len(y))
        args = (X, y, n, d[gn].to_numpy())
        t0 = np.log([max(blk[0]["sd"][0], 0.05)])
        cls, fine = Intercept, dict(h=0.05)
    elif kind == "nested":
        outer, inner = m["python_formula"].split("(1|")[1].rstrip(")").split("/")
        sd = {b["group"]: b["sd"][0] for b in blk}
        args = (X, y, d[outer].to_numpy(), d[inner].to_numpy())
        t0 = np.log([max(sd[f"{inner}:{outer}"], 0.05), max(sd[outer], 0.05)])
        cls, fine = Nested, dict(h=0.1)
    else:
        b = blk[0]
        term = m["python_formula"].split("(1 + ")[1].rstrip(")")
        xn, gn = term.split("|")
        x = d[xn].to_numpy(float) if pd.api.types.is_numeric_dtype(d[xn]) else (d[xn].cat.codes == 1).to_numpy(float)
        args = (X, y, x, d[gn].to_numpy())
        s1, s2 = b["sd"]
        rho = b["corr"][0][1]
        t0 = np.array([s1, rho * s2, s2 * np.sqrt(max(1 - rho**2, 1e-4))])
        cls, fine = Slope, dict(h=0.05)
    sc = np.r_[[lap["fixef"][n]["se"] for n in names], np.full(len(t0), 0.2)]
    p0 = lap0 = np.r_[beta0, t0]
    start = time.perf_counter()
    f, h = cls(*args), fine["h"]
    while True:                                   # refine the grid until halving the step changes nothing

        def obj(z):
            ll, g = f(p0 + sc * z)
            return -ll, -g * sc

        r = minimize(obj, np.zeros(len(p0)), jac=True, method="BFGS", options={"gtol": 1e-6, "maxiter": 200})
        est = p0 + sc * r.x
        finer = cls(*args, h=h)
        check = finer(est, grad=False)
        if abs(check + r.fun) < 1e-6 or h < 0.006:
            break
        f, h, p0 = finer, h / 2, est
    at_laplace = f(lap0, grad=False)
    n = len(est)
    H = np.empty((n, n))
    for i in range(n):
        e = np.zeros(n)
        e[i] = 1e-3
        H[i] = (obj(r.x + e)[1] - obj(r.x - e)[1]) / 2e-3
    V = np.linalg.inv((H + H.T) / 2) * np.outer(sc, sc)
    se = np.sqrt(np.diag(V))
    p = X.shape[1]
    out = {"method": f"tensor trapezoid rule, {len(f.g)} nodes per dimension",
           "logLik": -r.fun, "logLik_halved_step": check, "logLik_at_lme4_laplace_estimates": at_laplace,
           "lme4_laplace_logLik": lap["logLik"],
           "fixef": {nm: {"estimate": est[i], "se": se[i]} for i, nm in enumerate(names)},
           **cls.unpack(est[p:]),
           "working_parameters": {nm: {"estimate": est[p + i], "se": se[p + i]} for i, nm in enumerate(cls.names)},
           "max_abs_gradient_in_se_units": float(np.abs(r.jac).max()), "seconds": round(time.perf_counter() - start, 1)}
    return out


if __name__ == "__main__":
    ref, outp, *jobs = sys.argv[1:]
    with open(ref) as fh:
        R = json.load(fh)
    res = json.load(open(outp)) if os.path.exists(outp) else {}
    for j in [k for j in jobs for k in
              ([f"{i}:intercept" for i, m in R["models"].items() if "lme4_agq25" in m] if j == "all:intercept" else [j])]:
        mid, kind = j.split(":")
        res[mid] = run(R, mid, kind)
        print(mid, res[mid]["logLik"], res[mid]["logLik_halved_step"], res[mid]["sd"], res[mid]["seconds"], flush=True)
        with open(outp, "w") as fh:
            json.dump(res, fh, indent=1)
