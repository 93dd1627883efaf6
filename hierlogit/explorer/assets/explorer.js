// Sliders that show what differences between clusters do: to the estimates of single clusters, to the variance
// partition, and to the curves of a typical cluster and of the population. The report and the widget of notebooks both
// run this module.

const NS = "http://www.w3.org/2000/svg";
const QUARTILE = 0.6744897501960817, TENTH = 1.2815515655446004;
const expit = (x) => 1 / (1 + Math.exp(-x));
const logExpit = (x) => (x < 0 ? x - Math.log1p(Math.exp(x)) : -Math.log1p(Math.exp(-x)));
const sum = (numbers) => numbers.reduce((total, x) => total + x, 0);
const dot = (a, b) => sum(a.map((x, i) => x * b[i]));

// ---- mathematics ----

// Points and weights for averages over a standard normal variable; a large cluster without events is far from the mean.
const points = [];
for (let z = -12; z <= 12.001; z += 0.05) points.push([z, Math.exp(-z * z / 2)]);

// Average of f(z) over a standard normal z, weighted by exp(logs(z)).
function average(f, logs) {
  const most = logs ? Math.max(...points.map(([z]) => logs(z))) : 0;
  let above = 0, total = 0;
  for (const [z, normal] of points) {
    const weight = logs ? normal * Math.exp(logs(z) - most) : normal;
    above += weight * f(z);
    total += weight;
  }
  return above / total;
}

// Variance over clusters, for the products of the effects' columns.
const variance = (at, first, both, second) => at.sd ** 2 * first + 2 * at.correlation * at.sd * at.sd_slope * both +
  at.sd_slope ** 2 * second;

// Standard deviation over clusters at the i-th row.
function spread(rows, at, i) {
  const a = rows.first[i], b = rows.second[i];
  return Math.sqrt(Math.max(variance(at, a * a, a * b, b * b) + rows.rest[i], 0));
}

// Mean probability over clusters at the i-th row.
function population(rows, at, i) {
  const sd = spread(rows, at, i);
  return average((z) => expit(rows.eta[i] + sd * z));
}

// Solution of A x = b by elimination with pivots.
function solved(A, b) {
  const n = b.length, rows = A.map((row, i) => [...row, b[i]]);
  for (let k = 0; k < n; k++) {
    let best = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(rows[i][k]) > Math.abs(rows[best][k])) best = i;
    [rows[k], rows[best]] = [rows[best], rows[k]];
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = rows[i][k] / rows[k][k];
      for (let j = k; j <= n; j++) rows[i][j] -= factor * rows[k][j];
    }
  }
  return rows.map((row, i) => row[n] / row[i]);
}

// Population-averaged coefficient of the first column over the conditional one: that of the logistic regression which is
// closest to the averaged probabilities, by Newton's method. Null if there is none.
function ratio(data, means) {
  const k = data.columns.length, weights = data.weights;
  if (!k) return null;
  const X = means.map((_, i) => [1, ...data.columns.map((column) => column[i])]);
  let beta = [data.level, ...data.coefficients];
  for (let step = 0; step < 50; step++) {
    const A = Array.from({ length: k + 1 }, () => Array(k + 1).fill(0)), b = Array(k + 1).fill(0);
    X.forEach((x, i) => {
      const p = expit(dot(x, beta)), w = weights[i] * p * (1 - p), r = weights[i] * (means[i] - p);
      for (let u = 0; u <= k; u++) {
        b[u] += r * x[u];
        for (let v = 0; v <= k; v++) A[u][v] += w * x[u] * x[v];
      }
    });
    const change = solved(A, b), longest = Math.max(...X.map((x) => Math.abs(dot(x, change))));
    if (!Number.isFinite(longest)) return null;
    beta = beta.map((value, u) => value + change[u] * Math.min(1, 2 / longest || 1));
    if (longest < 1e-9) return beta[1] / data.coefficients[0];
  }
  return null;
}

// Posterior mean of the probability of an average cluster in which the event was seen in k of n rows.
const estimate = (data, sd, k, n) => average(
  (z) => expit(data.level + sd * z),
  (z) => k * logExpit(data.level + sd * z) + (n - k) * logExpit(-data.level - sd * z),
);

// All numbers at a position of the sliders.
export function results(data, at) {
  const between = Math.max(variance(at, ...data.moments) + data.own, 0), sd = Math.sqrt(between);
  const means = data.weights.map((_, i) => population(data.rows, at, i));
  return {
    between,
    icc: between / (between + data.others + Math.PI ** 2 / 3),
    mor: Math.exp(Math.SQRT2 * QUARTILE * sd),
    mean: dot(data.weights, means) / sum(data.weights),
    ratio: ratio(data, means),
    lowest: estimate(data, sd, 0, at.size),
    highest: estimate(data, sd, at.size, at.size),
  };
}

// ---- drawings: a frame from (50, 10) to (350, 260), the vertical axis from 0 to 1 ----

const across = (share) => 50 + 300 * share;
const down = (share) => 260 - 250 * share;

function shape(name, attributes, text) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const line = (xs, ys, kind) =>
  shape("path", { class: kind, d: `M${xs.map((x, i) => `${across(x).toFixed(1)} ${down(ys[i]).toFixed(1)}`).join("L")}` });

function band(xs, low, high) {
  return line([...xs, ...[...xs].reverse()], [...low, ...[...high].reverse()], "band");
}

// Axes with their labels; labels below that are too long to stand side by side are slanted.
function frame(ticks, below, beside) {
  const shortened = ticks.map(([place, text]) => [place, text.length > 14 ? `${text.slice(0, 13)}…` : text]);
  const room = 300 / Math.max(shortened.length, 1) / 6.5;
  const slanted = shortened.some(([, text]) => text.length > Math.max(room, 3));
  const bottom = slanted ? 352 : 296;
  const drawn = [shape("path", { class: "axis", d: "M50 10V260H350" })];
  for (const [place, text] of shortened) {
    const at = slanted ? { transform: `translate(${across(place) + 4} 274) rotate(-40)`, "text-anchor": "end" } :
      { x: across(place), y: 276, "text-anchor": "middle" };
    drawn.push(shape("text", at, text));
  }
  for (const share of [0, 0.25, 0.5, 0.75, 1])
    drawn.push(shape("text", { x: 44, y: down(share) + 4, "text-anchor": "end" }, String(share)));
  drawn.push(shape("text", { x: 200, y: bottom, "text-anchor": "middle" }, below));
  drawn.push(shape("text", { transform: "translate(12 135) rotate(-90)", "text-anchor": "middle" }, beside));
  return [drawn, `0 0 360 ${bottom + 6}`];
}

function drawShrinkage(svg, data, at, sd) {
  const n = at.size, ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => [share, String(share)]);
  const [drawn, box] = frame(ticks, "proportion of events in the cluster", "estimated probability");
  const mean = average((z) => expit(data.level + sd * z));
  drawn.push(line([0, 1], [0, 1], "thin"), line([0, 1], [mean, mean], "second"));
  for (let k = 0; k <= n; k++) {
    const y = estimate(data, sd, k, n);
    drawn.push(line([k / n, k / n], [k / n, y], "thin"));
    drawn.push(shape("circle", { class: "first", cx: across(k / n), cy: down(y), r: n > 40 ? 2 : 4 }));
  }
  svg.setAttribute("viewBox", box);
  svg.replaceChildren(...drawn);
}

// Standardised effects of the clusters that are drawn: evenly around the centre of their distribution.
const clusters = Array.from({ length: 12 }, (_, k) => [1.2 * Math.cos(k * Math.PI / 6), 1.2 * Math.sin(k * Math.PI / 6)]);

function drawCurves(svg, data, at) {
  const { axis, curve } = data, xs = axis.places;
  const [drawn, box] = frame(axis.ticks, axis.name, "probability");
  const beyond = (share) => xs.map((_, i) => expit(curve.eta[i] + share * spread(curve, at, i)));
  const marks = (ys, kind) => (axis.numeric ? [] : ys.map((y, i) =>
    shape("circle", { class: kind, cx: across(xs[i]), cy: down(y), r: 4 })));
  if (xs.length > 1) drawn.push(band(xs, beyond(-TENTH), beyond(TENTH)));
  for (const [u, v] of clusters) {
    const first = at.sd * u, second = at.sd_slope * (at.correlation * u + Math.sqrt(1 - at.correlation ** 2) * v);
    const ys = xs.map((_, i) => expit(curve.eta[i] + first * curve.first[i] + second * curve.second[i]));
    drawn.push(line(xs, ys, "thin"));
  }
  const typical = curve.eta.map(expit), mean = xs.map((_, i) => population(curve, at, i));
  drawn.push(line(xs, mean, "second"), ...marks(mean, "other"), line(xs, typical, "line"), ...marks(typical, "first"));
  svg.setAttribute("viewBox", box);
  svg.replaceChildren(...drawn);
}

// ---- the page ----

function element(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

// A drawing with a caption that names its lines: pairs of a kind and a name.
function figure(label, lines) {
  const svg = shape("svg", { role: "img", "aria-label": label });
  const key = lines.map(([kind, name]) => {
    const sample = shape("svg", { class: "sample", viewBox: "0 0 24 8", "aria-hidden": "true" });
    sample.append(kind === "band" ? shape("rect", { class: "band", width: 24, height: 8 }) :
      shape("path", { class: kind, d: "M0 4H24" }));
    return element("span", {}, sample, ` ${name} `);
  });
  return [element("figure", {}, svg, element("figcaption", {}, `${label}. `, ...key)), svg];
}

const percent = (share) => `${(100 * share).toFixed(1)}%`;

function words(data, at, found) {
  const whose = data.focus ? `The population-averaged coefficient of ${data.focus} is` :
    "Population-averaged coefficients are";
  const average = found.ratio === null ? "" : ` ${whose} ${found.ratio.toFixed(2)} times the conditional one${data.focus ? "" : "s"}.`;
  return `Of the variance, ${percent(found.icc)} lies between clusters of ${data.group} (latent scale); the median odds ` +
    `ratio is ${found.mor.toFixed(2)}. On average over clusters, the probability is ${percent(found.mean)}. A cluster ` +
    `without events (0 of ${at.size} ${data.unit}) has an estimated probability of ${percent(found.lowest)}, one with ` +
    `events only ${percent(found.highest)}.${average}`;
}

let count = 0;

// Build the sliders inside `root`. `data` is what Python made of the fit, `start` a position of the sliders. `moved` is
// called with the name and value of a slider that was moved. Returns a function that shows another position.
export function mount(root, data, start, moved) {
  const number = count++, at = { ...start }, inputs = {}, outputs = {};
  root.classList.add("hierlogit-explorer");
  const controls = element("div", { class: "controls" });
  for (const { name, label, min, max, step, decimals } of data.sliders) {
    const id = `hierlogit-${number}-${name}`;
    inputs[name] = element("input", { id, type: "range", min, max, step, "data-name": name });
    outputs[name] = element("output", { for: id, "data-decimals": decimals });
    const head = element("div", { class: "label" }, element("label", { for: id }, label), outputs[name]);
    controls.append(element("div", {}, head, inputs[name]));
    inputs[name].addEventListener("input", () => {
      at[name] = Number(inputs[name].value);
      draw();
      moved(name, at[name]);
    });
  }
  const back = element("button", { type: "button" }, "Back to the fit");
  back.addEventListener("click", () => {
    show(data.start);
    for (const name of Object.keys(inputs)) moved(name, at[name]);
  });
  const [shrinkage, first] = figure("Estimated probability of a cluster against its proportion of events", [
    ["thin", "no pooling"], ["second", "complete pooling"], ["line", "partial pooling"]]);
  const [curves, second] = figure(`Probability of ${data.event} against ${data.axis.name}`, [
    ["band", "middle 80% of clusters"], ["thin", "clusters"], ["second", "average over clusters"],
    ["line", "typical cluster"]]);
  const said = element("p", { class: "words", role: "status", "aria-live": "polite" });
  root.replaceChildren(controls, back, element("div", { class: "drawings" }, shrinkage, curves), said);

  function draw() {
    for (const [name, output] of Object.entries(outputs)) {
      output.textContent = at[name].toFixed(output.dataset.decimals).replace("-", "−");
      inputs[name].setAttribute("aria-valuetext", output.textContent);
    }
    const found = results(data, at);
    drawShrinkage(first, data, at, Math.sqrt(found.between));
    drawCurves(second, data, at);
    said.textContent = words(data, at, found);
  }
  function show(values) {
    Object.assign(at, values);
    for (const [name, input] of Object.entries(inputs)) input.value = at[name];
    draw();
  }
  show(start);
  return show;
}

// The widget of anywidget: its model has the data, and an attribute for each slider.
export default {
  render({ model, el }) {
    const names = ["sd", "sd_slope", "correlation", "size"], place = element("div");
    const position = () => Object.fromEntries(names.map((name) => [name, model.get(name)]));
    const show = mount(place, model.get("setup"), position(), (name, value) => {
      model.set(name, value);
      model.save_changes();
    });
    const changed = () => show(position());
    for (const name of names) model.on(`change:${name}`, changed);
    el.append(place);
    return () => names.forEach((name) => model.off(`change:${name}`, changed));
  },
};
