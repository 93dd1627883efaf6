// What differences between clusters do: shrinkage, and the gap between conditional and average curves.
"use strict";
(function () {
  const start = document.getElementById("play-start");
  if (!start) return;
  const { level } = JSON.parse(start.textContent);
  const by = (name) => document.getElementById("play-" + name);
  const expit = (x) => 1 / (1 + Math.exp(-x));

  // Points and weights for averages over a standard normal variable.
  const points = [];
  for (let z = -6; z <= 6.0001; z += 0.05) points.push([z, Math.exp(-z * z / 2)]);

  // Average of f(z) over a standard normal z, weighted by the likelihood `fit` of each z.
  function average(f, fit) {
    let sum = 0, total = 0;
    for (const [z, normal] of points) {
      const weight = normal * (fit ? fit(z) : 1);
      sum += weight * f(z);
      total += weight;
    }
    return sum / total;
  }

  // Mean probability over all clusters, where a typical one has log-odds x.
  const population = (x, sd) => average((z) => expit(x + sd * z));

  // Posterior mean of the probability of a cluster in which the event was seen in k of n rows.
  function estimate(k, n, sd) {
    const logs = ([z]) => k * Math.log(expit(level + sd * z)) + (n - k) * Math.log(expit(-level - sd * z));
    const most = Math.max(...points.map(logs));
    return average((z) => expit(level + sd * z), (z) => Math.exp(logs([z]) - most));
  }

  // ---- drawing: a frame from (50, 10) to (350, 260), both axes from 0 to 1 ----
  const across = (share) => 50 + 300 * share;
  const down = (share) => 260 - 250 * share;
  const path = (xs, f, kind) =>
    `<path class="${kind}" d="M${xs.map((x) => across(x).toFixed(1) + " " + down(f(x)).toFixed(1)).join("L")}"/>`;
  function frame(labels, below, beside) {
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((t, i) =>
      `<text x="${across(t)}" y="276" text-anchor="middle">${labels[i]}</text>` +
      `<text x="44" y="${down(t) + 4}" text-anchor="end">${t}</text>`);
    return `<path class="axis" d="M50 10V260H350"/>${ticks.join("")}` +
      `<text x="200" y="296" text-anchor="middle">${below}</text>` +
      `<text transform="translate(12 135) rotate(-90)" text-anchor="middle">${beside}</text>`;
  }

  function drawShrinkage(sd, n) {
    const mean = population(level, sd);
    let drawn = frame([0, 0.25, 0.5, 0.75, 1], "proportion of events in the cluster", "estimated probability");
    drawn += path([0, 1], (x) => x, "thin") + path([0, 1], () => mean, "second");
    for (let k = 0; k <= n; k++) {
      const y = estimate(k, n, sd);
      drawn += `<path class="thin" d="M${across(k / n)} ${down(k / n)}V${down(y)}"/>` +
        `<circle class="first" cx="${across(k / n)}" cy="${down(y)}" r="${n > 40 ? 2 : 4}"/>`;
    }
    by("shrinkage").innerHTML = drawn;
  }

  function drawCurves(sd) {
    const xs = Array.from({ length: 61 }, (_, i) => i / 60);
    const logit = (x) => 12 * x - 6;
    let drawn = frame([-6, -3, 0, 3, 6], "log-odds in a typical cluster", "probability");
    for (const z of [-1.645, -1, -0.5, 0.5, 1, 1.645]) drawn += path(xs, (x) => expit(logit(x) + sd * z), "thin");
    drawn += path(xs, (x) => expit(logit(x)), "line") + path(xs, (x) => population(logit(x), sd), "second");
    by("curves").innerHTML = drawn;
  }

  function show() {
    const sd = Number(by("sd").value), n = Number(by("size").value);
    by("sd-value").textContent = sd.toFixed(2);
    by("size-value").textContent = n;
    drawShrinkage(sd, n);
    drawCurves(sd);
    const slope = (population(0.01, sd) - population(-0.01, sd)) / (expit(0.01) - expit(-0.01));
    by("words").textContent =
      `With an sd of ${sd.toFixed(2)}, the share of the variance between clusters is ` +
      `${(100 * sd * sd / (sd * sd + Math.PI ** 2 / 3)).toFixed(1)}% and the median odds ratio ` +
      `is ${Math.exp(Math.SQRT2 * 0.67449 * sd).toFixed(2)}. The estimated probability of a cluster without events ` +
      `(0 of ${n} rows) is ${estimate(0, n, sd).toFixed(3)}, that of a cluster with events only is ` +
      `${estimate(n, n, sd).toFixed(3)}; the mean of all clusters is ${population(level, sd).toFixed(3)}. At its ` +
      `steepest point, the population-averaged curve has ${(100 * slope).toFixed(0)}% of the slope of the conditional one.`;
  }
  for (const name of ["sd", "size"]) by(name).addEventListener("input", show);
  show();
})();
