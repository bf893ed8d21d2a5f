// hilum's page: films go to /v1/predictions one by one; what comes back is shown. No library, no outside asset.
"use strict";

const MOST_FILMS = 200;
const AT_ONCE = 2; // films on their way at the same time
const MOST_ZOOM = 12;
const LAYOUT_WIDE = matchMedia("(min-width: 60rem)");

const state = { films: [], selected: null, model: null, chosen: "", nextId: 1, sending: 0 }; // chosen: "" is the default model
const view = { zoom: 1, x: 0, y: 0, fit: 1, opacity: 0.6, level: 50, width: 100, inverted: false };
let token = sessionStorage.getItem("hilum-token") || "";

// --- small things ---------------------------------------------------------------------------------------------------

function percent(value) {
  if (value > 0.999 && value < 1) return "> 99.9 %";
  if (value < 0.001 && value > 0) return "< 0.1 %";
  return `${(100 * value).toFixed(1)} %`;
}

function say(text) { byId("status").textContent = text; }

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

/** Return an object URL for a data URI: the picture then lies outside the script's memory. */
function objectUrl(uri) {
  const bytes = Uint8Array.from(atob(uri.slice(uri.indexOf(",") + 1)), (one) => one.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
}

// --- the service ----------------------------------------------------------------------------------------------------

let tokenAsked = null;

/** Ask for the token, once however many requests need it. */
function askToken(wrong) {
  if (tokenAsked) return tokenAsked;
  const dialog = byId("token-dialog");
  byId("token-error").textContent = wrong ? "Wrong token. Try again." : "";
  byId("token").value = "";
  dialog.showModal();
  tokenAsked = new Promise((done) => {
    dialog.addEventListener("close", () => {
      tokenAsked = null;
      const given = byId("token").value.trim();
      if (dialog.returnValue === "given" && given) {
        token = given;
        sessionStorage.setItem("hilum-token", token);
        done(true);
      } else done(false);
    }, { once: true });
  });
  return tokenAsked;
}

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("token-dialog").close("given");
});

/** Send a request; come back when a busy server asks for it, and ask for the token where one is needed. */
async function request(path, options = {}, onWait = () => {}) {
  for (;;) {
    const sent = token;
    const headers = sent ? { Authorization: `Bearer ${sent}` } : {};
    const answer = await fetch(path, { ...options, headers });
    if (answer.status === 503) {
      const seconds = Number(answer.headers.get("Retry-After")) || 2;
      onWait(seconds);
      await pause(seconds * (0.8 + 0.4 * Math.random()));
    } else if (answer.status === 401) {
      if (sent === token && !(await askToken(Boolean(sent)))) return answer;
    } else return answer;
  }
}

/** Return an address with the chosen model. */
const ofModel = (address) => (state.chosen ? `${address}${address.includes("?") ? "&" : "?"}model=${encodeURIComponent(state.chosen)}` : address);

async function loadModel() {
  const chosen = state.chosen;
  try {
    const answer = await request(ofModel("v1/model"));
    if (!answer.ok) return;
    const model = await answer.json();
    if (chosen !== state.chosen) return; // another was chosen meanwhile
    state.model = model;
  } catch {
    warn("The server does not answer. Is it still running?");
    return;
  }
  const names = state.model.models;
  byId("model-name").textContent = names.length > 1 ? "" : state.model.name;
  byId("model-choice").hidden = names.length < 2;
  byId("model-choice").replaceChildren(...names.map((name, place) => new Option(name, place ? name : "", !place, (place ? name : "") === chosen)));
  byId("version").textContent = `hilum ${state.model.hilum_version}`;
}

/** Ask another model, also about the films that are open. */
byId("model-choice").addEventListener("change", (event) => {
  state.chosen = event.target.value;
  state.model = null;
  for (const film of state.films) {
    if (film.state === "sending") continue; // comes back to the list when its answer does
    dropPictures(film);
    Object.assign(film, { state: "waiting", note: "", answer: null, error: null });
    refresh(film);
  }
  countFilms();
  loadModel().then(sendMore);
});

// --- films ----------------------------------------------------------------------------------------------------------

function addFilms(files) {
  const room = MOST_FILMS - state.films.length;
  if (files.length > room) warn(`This page can hold ${MOST_FILMS} films at a time. For whole folders, use \`hilum predict\`.`);
  const added = [...files].slice(0, room).map((file) => ({
    id: state.nextId++, file, name: file.name, state: "waiting", note: "", answer: null, error: null, display: null,
  }));
  if (!added.length) return;
  state.films.push(...added);
  showFrame();
  for (const film of added) byId("list").append(row(film));
  if (!state.selected) select(added[0]);
  countFilms();
  sendMore();
}

function sendMore() {
  while (state.sending < AT_ONCE) {
    const film = (state.selected?.state === "waiting" && state.selected) || state.films.find((one) => one.state === "waiting");
    if (!film) return;
    state.sending += 1;
    judge(film).finally(() => {
      state.sending -= 1;
      refresh(film);
      countFilms();
      sendMore();
    });
  }
}

async function judge(film) {
  const chosen = state.chosen;
  film.state = "sending";
  refresh(film);
  const body = new FormData();
  body.append("files", film.file, film.name);
  try {
    const answer = await request(ofModel("v1/predictions?display=true"), { method: "POST", body }, (seconds) => {
      film.note = `The server is busy. Next try in ${seconds} s.`;
      refresh(film);
    });
    const found = await answer.json();
    if (!state.films.includes(film)) return; // it was closed meanwhile
    if (chosen !== state.chosen) {
      film.state = "waiting";
      return;
    }
    if (answer.ok) {
      const { display, ...said } = found.predictions[0];
      film.answer = said;
      film.display = {
        width: display.width_px,
        height: display.height_px,
        film: objectUrl(display.film),
        heat: Object.fromEntries(Object.entries(display.heat).map(([name, uri]) => [name, objectUrl(uri)])),
      };
      film.state = said.accepted ? "done" : "refused";
    } else {
      film.error = found.error;
      film.state = "failed";
    }
  } catch {
    film.error = { type: "NoAnswer", message: "The server does not answer.", fix: "Check that it is running, then try again.", again: true };
    film.state = "failed";
  }
}

function dropPictures(film) {
  if (film.display) [film.display.film, ...Object.values(film.display.heat)].forEach((url) => URL.revokeObjectURL(url));
  film.display = null;
}

function closeAll() {
  state.films.forEach(dropPictures);
  state.films = [];
  state.selected = null;
  byId("list").replaceChildren();
  byId("film").removeAttribute("src");
  byId("heat").removeAttribute("src");
  showFrame();
  say("All films are closed.");
  byId("drop").focus();
}

// --- the list -------------------------------------------------------------------------------------------------------

function stateText(film) {
  if (film.state === "waiting") return "Waiting";
  if (film.state === "sending") return film.note || "Judging";
  if (film.state === "failed") return `${film.error.refused ? "Refused" : "Could not be read"}: ${film.error.message}`;
  if (film.state === "refused") return `Refused: ${film.answer.reasons.map((reason) => reason.message).join(" ")}`;
  return film.answer.set.length > 1
    ? inWords(film.answer)
    : `${film.answer.finding} ${percent(film.answer.probabilities[film.answer.finding])}`;
}

/** Return how a finding is said where it is the answer; most are said by their names. */
const saidAs = (name) => state.model?.findings.find((one) => one.name === name)?.said_as ?? name;

function inWords(answer) {  // as run/answer.py has it
  if (!answer.finding) return "Refused";
  const others = answer.set.filter((name) => name !== answer.finding);
  others.sort((one, other) => answer.probabilities[other] - answer.probabilities[one]);
  return others.length ? `${[answer.finding, ...others].join(" or ")} (undecided)` : saidAs(answer.finding);
}

function row(film) {
  return make(
    "li",
    { className: "row", id: `film-${film.id}`, role: "option", "aria-selected": "false", onclick: () => select(film), title: film.name },
    make("span", { className: "thumb", "aria-hidden": "true" }),
    make("span", {}, make("span", { className: "row-name", textContent: film.name }), make("span", { className: "row-state", textContent: stateText(film) })),
  );
}

function refresh(film) {
  const item = byId(`film-${film.id}`);
  if (!item) return;
  item.className = `row ${film.state}`;
  item.querySelector(".row-state").textContent = stateText(film);
  item.title = `${film.name}\n${stateText(film)}`;
  if (film.display && item.querySelector("img")?.src !== film.display.film) item.firstChild.replaceChildren(make("img", { src: film.display.film, alt: "" }));
  if (film === state.selected) {
    showFilm();
    if (!["waiting", "sending"].includes(film.state)) say(`${film.name}: ${stateText(film)}`);
  }
}

function countFilms() {
  const finished = state.films.filter((film) => !["waiting", "sending"].includes(film.state)).length;
  byId("list-count").textContent = finished < state.films.length ? `${finished} of ${state.films.length}` : `${finished}`;
  for (const id of ["save-csv", "print"]) byId(id).disabled = finished < state.films.length;
  if (state.films.length > 1 && finished === state.films.length) say(`All ${finished} films have an answer.`);
}

function select(film) {
  if (film === state.selected) return;
  state.selected = film;
  for (const item of byId("list").children) item.setAttribute("aria-selected", String(item.id === `film-${film.id}`));
  const list = byId("list");
  list.setAttribute("aria-activedescendant", `film-${film.id}`);
  byId(`film-${film.id}`).scrollIntoView({ block: "nearest", inline: "nearest" });
  resetView();
  showFilm();
}

function step(by) {
  const place = state.films.indexOf(state.selected);
  const next = state.films[Math.min(Math.max(place + by, 0), state.films.length - 1)];
  if (next && next !== state.selected) {
    select(next);
    say(`${next.name}: ${stateText(next)}`);
  }
}

byId("list").addEventListener("keydown", (event) => {
  const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity, PageDown: 10, PageUp: -10 };
  if (event.key in steps) {
    event.preventDefault();
    step(steps[event.key]);
  }
});

// --- the film -------------------------------------------------------------------------------------------------------

function showFrame() {
  const open = state.films.length > 0;
  document.querySelector("main").className = `${open ? "open" : ""} ${state.films.length > 1 ? "many" : ""}`;
  byId("welcome").hidden = open;
  byId("viewer").hidden = !open;
  byId("answer-panel").hidden = !open;
  byId("controls").hidden = !open;
  byId("list-panel").hidden = state.films.length < 2;
  place();
}

function showFilm() {
  const film = state.selected;
  const shown = film.display;
  byId("file-name").textContent = film.name;
  byId("stage").setAttribute("aria-label", `Film ${film.name}`);
  byId("sheet").hidden = !shown;
  for (const control of byId("controls").querySelectorAll("input, select, button")) control.disabled = !shown;
  byId("stage-state").textContent = shown ? "" : film.state === "failed" ? "This film cannot be shown." : "The model is working on this film";
  if (shown && byId("film").src !== shown.film) {
    byId("film").src = shown.film;
    const names = Object.keys(shown.heat);
    const first = likeliest(film.answer);
    byId("evidence").replaceChildren(...names.map((name) => new Option(name, name, name === first, name === first)));
    showHeat();
    place();
  }
  showAnswer(film);
}

const likeliest = (answer) => Object.entries(answer.probabilities).reduce((best, one) => (one[1] > best[1] ? one : best))[0];

function showHeat() {
  const shown = state.selected?.display;
  if (shown) byId("heat").src = shown.heat[byId("evidence").value];
}

/** Lay the film out: centred, as large as fits, times the zoom. */
function place() {
  const shown = state.selected?.display;
  const stage = byId("stage");
  if (!shown || !stage.clientWidth) return;
  view.fit = Math.min(stage.clientWidth / shown.width, stage.clientHeight / shown.height);
  const scale = view.fit * view.zoom;
  const [width, height] = [shown.width * scale, shown.height * scale];
  const reach = (length, room) => Math.max(0, (length - room) / 2);
  view.x = Math.min(Math.max(view.x, -reach(width, stage.clientWidth)), reach(width, stage.clientWidth));
  view.y = Math.min(Math.max(view.y, -reach(height, stage.clientHeight)), reach(height, stage.clientHeight));
  const sheet = byId("sheet");
  sheet.style.width = `${shown.width}px`;
  sheet.style.height = `${shown.height}px`;
  sheet.style.transform = `translate(${view.x - width / 2}px, ${view.y - height / 2}px) scale(${scale})`;
  stage.style.touchAction = view.zoom > 1 ? "none" : "pan-y";
  byId("zoom-state").textContent = view.zoom > 1 ? `${view.zoom.toFixed(1)} x` : "";
}

/** Zoom about a point of the stage, given from its centre. */
function zoomBy(factor, x = 0, y = 0) {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
  const ratio = zoom / view.zoom;
  view.x = x - (x - view.x) * ratio;
  view.y = y - (y - view.y) * ratio;
  view.zoom = zoom;
  place();
}

function moveBy(x, y) {
  view.x += x;
  view.y += y;
  place();
}

/** Show grey values from level - width/2 to level + width/2, black to white. */
function applyWindow() {
  const [level, width] = [view.level / 100, view.width / 100];
  let [slope, intercept] = [1 / width, 0.5 - level / width];
  if (view.inverted) [slope, intercept] = [-slope, 1 - intercept];
  for (const channel of document.querySelectorAll("#window feFuncR, #window feFuncG, #window feFuncB")) {
    channel.setAttribute("slope", slope);
    channel.setAttribute("intercept", intercept);
  }
  byId("level").value = view.level;
  byId("width").value = view.width;
  byId("level-value").textContent = `${Math.round(view.level)} %`;
  byId("width-value").textContent = `${Math.round(view.width)} %`;
  byId("invert").setAttribute("aria-pressed", String(view.inverted));
}

function windowBy(level, width) {
  view.level = Math.min(Math.max(view.level + level, 0), 100);
  view.width = Math.min(Math.max(view.width + width, 5), 200);
  applyWindow();
}

function setOpacity(value) {
  view.opacity = value;
  byId("heat").style.opacity = String(value);
  byId("opacity").value = Math.round(100 * value);
  byId("opacity-value").textContent = `${Math.round(100 * value)} %`;
}

function resetView() {
  Object.assign(view, { zoom: 1, x: 0, y: 0, level: 50, width: 100 });
  applyWindow();
  place();
}

byId("opacity").addEventListener("input", (event) => setOpacity(event.target.value / 100));
byId("evidence").addEventListener("change", showHeat);
byId("level").addEventListener("input", (event) => windowBy(event.target.value - view.level, 0));
byId("width").addEventListener("input", (event) => windowBy(0, event.target.value - view.width));
byId("zoom-in").addEventListener("click", () => zoomBy(1.4));
byId("zoom-out").addEventListener("click", () => zoomBy(1 / 1.4));
byId("reset").addEventListener("click", () => { view.inverted = false; setOpacity(0.6); resetView(); });
byId("invert").addEventListener("click", invert);

function invert() {
  view.inverted = !view.inverted;
  applyWindow();
}

const stage = byId("stage");
const pointers = new Map();

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  stage.classList.add("moving");
});
stage.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const [x, y] = [event.clientX - before.clientX, event.clientY - before.clientY];
  if (pointers.size === 2) {
    const other = [...pointers.values()].find((one) => one.pointerId !== event.pointerId);
    const distance = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    zoomBy(distance(event) / Math.max(distance(before), 1), ...fromCentre(event));
  } else if (event.shiftKey) windowBy(-y / 4, x / 2);
  else moveBy(x, y);
  pointers.set(event.pointerId, event);
});
for (const kind of ["pointerup", "pointercancel"]) {
  stage.addEventListener(kind, (event) => {
    pointers.delete(event.pointerId);
    if (!pointers.size) stage.classList.remove("moving");
  });
}
stage.addEventListener("dblclick", (event) => (view.zoom > 1 ? resetView() : zoomBy(2.5, ...fromCentre(event))));
stage.addEventListener("wheel", (event) => {
  if (!LAYOUT_WIDE.matches && !event.ctrlKey && view.zoom === 1) return; // there the wheel scrolls the page
  event.preventDefault();
  zoomBy(Math.exp(-event.deltaY / 400), ...fromCentre(event));
}, { passive: false });

function fromCentre(event) {
  const box = stage.getBoundingClientRect();
  return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
}

stage.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const far = 40;
  const actions = {
    "+": () => zoomBy(1.4), "=": () => zoomBy(1.4), "-": () => zoomBy(1 / 1.4), "0": resetView,
    i: invert, h: () => setOpacity(view.opacity > 0 ? 0 : 0.6),
    ArrowLeft: () => (event.shiftKey ? windowBy(0, -5) : moveBy(far, 0)),
    ArrowRight: () => (event.shiftKey ? windowBy(0, 5) : moveBy(-far, 0)),
    ArrowUp: () => (event.shiftKey ? windowBy(2, 0) : moveBy(0, far)),
    ArrowDown: () => (event.shiftKey ? windowBy(-2, 0) : moveBy(0, -far)),
    PageDown: () => step(1), PageUp: () => step(-1),
  };
  const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (action) {
    event.preventDefault();
    action();
  }
});
new ResizeObserver(place).observe(stage);

// --- the answer -----------------------------------------------------------------------------------------------------

function showAnswer(film) {
  byId("answer-panel").className = `answer-panel ${film.state}`;
  const title = byId("answer-title");
  const body = byId("answer");
  if (film.state === "failed") {
    title.textContent = film.error.refused ? "Refused" : "Not read";
    const again = make("button", { type: "button", textContent: "Try again", onclick: () => { film.state = "waiting"; film.error = null; refresh(film); sendMore(); } });
    body.replaceChildren(
      make("ul", { className: "reasons" }, make("li", {}, film.error.message)),
      make("p", { className: "lead soft" }, film.error.fix || ""),
      ...(film.error.again ? [again] : []),
    );
  } else if (!film.answer) {
    title.textContent = "Judging";
    body.replaceChildren(make("p", { className: "lead soft" }, film.note || "This takes a moment."));
  } else {
    title.textContent = inWords(film.answer);
    body.replaceChildren(...answerParts(film.answer));
  }
}

function answerParts(answer) {
  const parts = [];
  if (answer.accepted) {
    const share = percent(answer.probabilities[answer.finding]);
    parts.push(make("p", { className: "lead soft" }, answer.set.length > 1
      ? `The model cannot tell these ${answer.set.length} findings apart on this film. The most probable one is ${answer.finding}: ${share}.`
      : saidAs(answer.finding) === answer.finding
        ? `The most probable of the findings that this model knows: ${share}.`
        : `The most probable answer of this model (${answer.finding}): ${share}.`));
  } else {
    parts.push(
      make("p", { className: "lead soft" }, "This model does not judge this film:"),
      make("ul", { className: "reasons" }, ...answer.reasons.map((reason) => make("li", {}, reason.message))),
    );
  }
  const thresholds = Object.fromEntries((state.model?.findings ?? []).map((one) => [one.name, one.operating_threshold]));
  const ordered = Object.entries(answer.probabilities).sort((one, other) => other[1] - one[1]);
  parts.push(
    make("h3", {}, answer.accepted ? "Probabilities" : "Probabilities. Do not rely on them for this film"),
    make("ul", { className: "bars" }, ...ordered.map(([name, value], order) => bar(name, value, thresholds[name], order === 0))),
  );
  if (ordered.some(([name]) => name in thresholds)) {
    parts.push(make("p", { className: "soft fine lead" }, "The white mark is the operating threshold. From this probability on, a finding counts as present."));
  }
  if (answer.accepted) parts.push(make("h3", {}, "Cannot be ruled out"), ...setParts(answer.set));
  parts.push(make("h3", {}, "Model"), make("dl", {},
    make("dt", {}, "Name"), make("dd", {}, answer.model.name),
    make("dt", {}, "SHA-256"), make("dd", { className: "mono", title: answer.model.sha256 }, answer.model.sha256.slice(0, 12)),
  ));
  return parts;
}

function bar(name, value, threshold, first) {
  const fill = make("span", { className: "fill" });
  fill.style.width = `${100 * value}%`;
  const track = make("div", { className: "track", "aria-hidden": "true" }, fill);
  if (threshold !== undefined) {
    const tick = make("span", { className: "tick" });
    tick.style.left = `${100 * Math.min(threshold, 1)}%`;
    track.append(tick);
  }
  return make("li", { className: first ? "first" : "" },
    make("div", { className: "bar-row" }, make("span", {}, name), make("span", { className: "figure" }, percent(value))), track);
}

function setParts(names) {
  const share = state.model ? `${Math.round(100 * state.model.coverage)} %` : "most";
  const meaning = names.length === 1 ? "Only one finding is left. " : "";
  const told = names.length > 1 ? names.filter((name) => saidAs(name) !== name).map((name) => `${name}: ${saidAs(name)}. `).join("") : "";
  return [
    make("ul", { className: "tags" }, ...names.map((name) => make("li", {}, name))),
    make("p", { className: "soft fine" }, `${told}${meaning}For ${share} of films like the calibration films, the true finding is in this list. For films of other hospitals this may not be so.`),
  ];
}

// --- the model ------------------------------------------------------------------------------------------------------

const PARTS = { test_clean: "Test, without twins or known patients", test: "Test, all films", cross_validation: "Cross-validation", validation: "Validation" };
const FIGURES = { accuracy: "Accuracy", balanced_accuracy: "Balanced accuracy", macro_f1: "Macro-F1", auroc_macro: "AUROC" };

function figureCell(figure) {
  if (!figure || figure.value === null || figure.value === undefined) return make("td", {}, "\u2013");
  const cell = make("td", {}, (100 * figure.value).toFixed(1));
  if (figure.low !== null && figure.low !== undefined) {
    cell.append(make("small", {}, `${(100 * figure.low).toFixed(1)}\u2013${(100 * figure.high).toFixed(1)}`));
  }
  return cell;
}

function table(head, rows, caption) {
  const top = make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text))));
  const body = make("table", {}, top, make("tbody", {}, ...rows));
  const scroll = make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, body);
  return make("div", {}, make("p", { className: "soft fine" }, caption), scroll);
}

function showModel() {
  const model = state.model;
  const body = byId("model-body");
  if (!model) {
    body.replaceChildren(make("p", {}, "The model card could not be loaded."));
    loadModel().then(() => state.model && showModel());
  } else {
    const parts = Object.entries(PARTS).filter(([key]) => model.figures[key]?.n);
    const figures = parts.map(([key, name]) => make("tr", {},
      make("th", { scope: "row" }, name), make("td", {}, String(model.figures[key].n)),
      ...Object.keys(FIGURES).map((figure) => figureCell(model.figures[key][figure]))));
    const findings = model.findings.map((finding) => make("tr", {},
      make("th", { scope: "row" }, finding.name), make("td", {}, finding.snomed_ct ?? "\u2013"),
      make("td", {}, percent(finding.operating_threshold))));
    body.replaceChildren(
      make("p", { className: "soft" }, model.name),
      make("p", { className: "soft mono" }, `SHA-256 ${model.sha256}`),
      make("h3", {}, "Test results"),
      ...(model.verdict ?? []).map((line) => make("p", {}, line)),
      figures.length
        ? table(["Films", "n", ...Object.values(FIGURES)], figures, "Per cent, with 95 % intervals. They hold for films like the test films.")
        : make("p", { className: "soft" }, "The model file has no test results."),
      make("h3", {}, "Recent films"),
      make("div", { id: "model-drift" }, make("p", { className: "soft" }, "Comparing the answers")),
      make("h3", {}, "Findings"),
      table(["Finding", "SNOMED CT", "Operating threshold"], findings, "From the operating threshold on, a finding counts as present."),
      make("details", {}, make("summary", {}, "Model card"), make("div", { className: "card" }, ...markdown(model.model_card || "This model has no model card."))),
    );
  }
  if (!byId("model-dialog").open) byId("model-dialog").showModal();
  if (model) showDrift();
}

/** Say whether the answers to recent films differ from those of the model's evaluation. */
async function showDrift() {
  const box = byId("model-drift");
  let said = [];
  try {
    const answer = await request(ofModel("v1/drift"));
    const found = await answer.json();
    said = found.lines ?? [found.error.message];
  } catch {
    said = ["The server does not answer."];
  }
  const [first, ...others] = said;
  const more = others.length ? [make("details", {}, make("summary", {}, "How they were compared"), ...others.map((line) => make("p", { className: "soft" }, line.trim())))] : [];
  box.replaceChildren(make("p", {}, first), ...more);
}

/** Return the elements for the Markdown that model cards are written in: headings, lists, tables, paragraphs, code. */
function markdown(text) {
  const plain = (line) => line.replace(/\\([\\|<>`*[\]])/g, "$1").replace(/(^|[^\\])[*`]+([^*`]+)[*`]+/g, "$1$2");
  const cells = (line) => line.replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => plain(cell.trim()));
  const found = [];
  for (const block of text.split(/\n{2,}/)) {
    const lines = block.split("\n").filter((line) => line.trim());
    if (!lines.length || block.trim() === "Research software, not a medical device.") continue; // the page says so already
    if (lines[0].startsWith("#")) found.push(make("h3", {}, plain(lines[0].replace(/^#+\s*/, ""))));
    else if (lines[0].startsWith("|")) {
      const rows = lines.slice(2).map((line) => make("tr", {}, ...cells(line).map((cell, order) => make(order ? "td" : "th", order ? {} : { scope: "row" }, cell))));
      const head = make("tr", {}, ...cells(lines[0]).map((cell) => make("th", { scope: "col" }, cell)));
      found.push(make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Table of the model card" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
    } else if (lines[0].startsWith("- ")) found.push(make("ul", {}, ...lines.map((line) => make("li", {}, plain(line.replace(/^- /, ""))))));
    else found.push(make("p", { className: lines[0].startsWith("    ") ? "mono" : "" }, plain(lines.join(" ").trim())));
  }
  return found;
}

byId("show-model").addEventListener("click", showModel);
byId("model-close").addEventListener("click", () => byId("model-dialog").close());

// --- films come in --------------------------------------------------------------------------------------------------

for (const id of ["open", "drop"]) byId(id).addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", (event) => {
  addFilms(event.target.files);
  event.target.value = "";
});
byId("clear").addEventListener("click", closeAll);
byId("alert-close").addEventListener("click", () => warn(""));

let within = 0; // dragenter and dragleave come for every element passed
const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
addEventListener("dragenter", (event) => {
  if (holdsFiles(event)) byId("drop-cover").hidden = (within += 1) < 1;
});
addEventListener("dragleave", (event) => {
  if (holdsFiles(event)) byId("drop-cover").hidden = (within -= 1) < 1;
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", async (event) => {
  event.preventDefault();
  within = 0;
  byId("drop-cover").hidden = true;
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  addFilms(entries.some((entry) => entry.isDirectory) ? (await Promise.all(entries.map(filesOf))).flat() : event.dataTransfer.files);
});

/** Return the files under a dropped entry. */
async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
  const reader = entry.createReader();
  const found = [];
  for (;;) { // a reader hands out a hundred entries at a time
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return found.sort((one, other) => one.name.localeCompare(other.name));
    for (const child of some) found.push(...(await filesOf(child)));
  }
}

loadModel();
