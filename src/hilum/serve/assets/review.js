// The page of `hilum review`: one doubt at a time; the server keeps every decision before the next one is shown.
"use strict";

const choices = [...document.querySelectorAll("[data-choice]")];
const KEPT_PICTURES = 24;
const pictures = new Map(); // address -> promise of an object URL; films never reach the browser's disk
let state = null; // what the server said last
let marked = new Set(); // positions of the films that the decision is about
let busy = true; // true until the films can be seen and the server has answered
let showing = 0; // grows with every doubt that is shown

/** Ask the server; an error is shown and gives null. */
async function ask(path, body) {
  try {
    const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(path, options);
    const content = await answer.json();
    if (answer.ok) { warn(""); return content; }
    warn(`${content.error.message} ${content.error.fix}`.trim());
  } catch {
    warn("The server does not answer. Start `hilum review` again: every decision so far is kept.");
  }
  return null;
}

function picture(path) {
  if (!pictures.has(path)) {
    pictures.set(path, fetch(path).then(async (answer) => {
      if (!answer.ok) throw new Error((await answer.json()).error.message);
      return URL.createObjectURL(await answer.blob());
    }));
    pictures.get(path).catch(() => pictures.delete(path));
  }
  for (const old of [...pictures.keys()].slice(0, Math.max(0, pictures.size - KEPT_PICTURES))) {
    pictures.get(old).then((url) => URL.revokeObjectURL(url), () => {});
    pictures.delete(old);
  }
  return pictures.get(path);
}

// --- what is shown --------------------------------------------------------------------------------------------------

const several = () => state.doubt.films.length > 1;
const all = () => marked.size === state.doubt.films.length;

/** Return what a decision is about, in words. */
function subject() {
  if (!several()) return "the film";
  return all() ? "both films" : marked.has(0) ? "film 1" : "film 2";
}

function show(answer) {
  busy = false;
  if (!answer) return enable();
  state = answer;
  showProgress();
  const done = state.num_settled === state.num_doubts;
  byId("done").hidden = !done;
  byId("done-title").textContent = state.num_doubts ? `All ${state.num_doubts} doubts are settled.` : "The audit doubts no single film.";
  byId("list").textContent = state.list;
  byId("example").textContent = `hilum train ${state.list} --out run2`;
  for (const id of ["choices", "films"]) byId(id).hidden = !state.doubt;
  if (state.doubt) showDoubt();
  if (done) byId("done-title").focus();
  return null;
}

function showProgress() {
  byId("settled").textContent = `${state.num_settled} of ${state.num_doubts} settled`;
  const names = { error: "errors", warning: "warnings", note: "notes" };
  byId("by-severity").textContent = Object.entries(state.progress).filter(([, [, total]]) => total)
    .map(([name, [settled, total]]) => `${names[name]} ${settled}/${total}`).join(" · ");
  byId("bar").max = Math.max(1, state.num_doubts);
  byId("bar").value = state.num_settled;
}

function showDoubt() {
  const doubt = state.doubt;
  marked = new Set(doubt.marked);
  const severity = make("span", { className: `severity-${doubt.severity}` }, doubt.severity);
  byId("place").replaceChildren(`Doubt ${doubt.number + 1} of ${state.num_doubts} · `, severity);
  byId("title").textContent = doubt.title;
  byId("reason").textContent = doubt.reason;
  byId("meaning").textContent = doubt.meaning;
  byId("earlier").hidden = !doubt.choice;
  byId("earlier").textContent = doubt.choice === "moot" ? "Nothing to decide: one of the films is dropped already."
    : doubt.decided ? `Decided: ${doubt.choice}${doubt.decided.finding ? `, ${doubt.decided.finding}` : ""} (${doubt.decided.who}, ${doubt.decided.when.replace("T", " ").replace("Z", " UTC")})` : "";
  for (const button of choices) button.setAttribute("aria-pressed", String(button.dataset.choice === doubt.choice));
  offerFindings(false);
  byId("findings").replaceChildren(...state.findings.map((name, place) =>
    make("button", { type: "button", onclick: () => decide("relabel", name) }, ...(place < 9 ? [make("kbd", {}, String(place + 1))] : []), name === doubt.suggestion ? `${name} (suggested)` : name)));
  for (const id of ["heat", "heat-note"]) byId(id).hidden = !doubt.has_heat;
  byId("heat-note").textContent = `The heat map shows where the model sees evidence for ${doubt.suggestion}, not why.`;
  showFilms();
  showMarks();
  byId("status").textContent = `Doubt ${doubt.number + 1} of ${state.num_doubts}: ${doubt.title}. ${doubt.reason}`;
}

async function showFilms() {
  const doubt = state.doubt;
  const turn = ++showing;
  busy = true;
  enable();
  byId("films").replaceChildren(...doubt.films.map(figure));
  byId("zoom").setAttribute("aria-pressed", "false");
  const loads = [...byId("films").querySelectorAll("figure")].map((one, place) => fill(one, place, doubt));
  await Promise.all(loads);
  if (turn !== showing) return;
  busy = false;
  enable();
  for (const later of [doubt.number + 1, doubt.number + 2]) if (later < state.num_doubts) picture(`v1/films/${later}/0`).catch(() => {});
}

function figure(film, place) {
  const mark = make("button", { type: "button", className: "mark", onclick: () => toggle(place) });
  return make("figure", {},
    make("div", { className: "frame", onclick: enlarge }, make("div", { className: "sheet-of-film" }), make("p", { className: "soft" }, "Reading the film …")),
    make("figcaption", {}, make("span", { className: "filed" }, film.finding), make("span", { className: "soft fine" }, film.part ? `${film.part} · ${film.path}` : film.path), ...(several() ? [mark] : [])));
}

/** Put the pictures of a film into its figure. */
async function fill(one, place, doubt) {
  const film = doubt.films[place];
  const text = one.querySelector("p");
  const sheet = one.querySelector(".sheet-of-film");
  try {
    const alt = `Chest film ${place + 1} of ${doubt.films.length}, labelled ${film.finding}`;
    const image = make("img", { src: await picture(`v1/films/${doubt.number}/${place}`), alt, draggable: false });
    await image.decode();
    sheet.replaceChildren(image);
    text.remove();
  } catch (error) {
    text.textContent = error.message || "The film cannot be shown.";
    return;
  }
  if (!doubt.has_heat) return;
  picture(`v1/heat/${doubt.number}/${place}`).then((url) => {
    const alt = `Heat map of the evidence for ${doubt.suggestion}`;
    sheet.append(make("img", { src: url, className: "heat", alt, draggable: false, hidden: byId("heat").getAttribute("aria-pressed") !== "true" }));
  }, () => {});
}

function showMarks() {
  const doubt = state.doubt;
  [...byId("films").querySelectorAll("figure")].forEach((one, place) => {
    const is = marked.has(place);
    one.classList.toggle("marked", is && several());
    const button = one.querySelector(".mark");
    if (!button) return;
    button.replaceChildren(make("kbd", {}, String(place + 1)), is ? " The decision is about this film" : " Decide on this film, too");
    button.setAttribute("aria-pressed", String(is));
  });
  byId("means-keep").textContent = several() ? "Both films stay, with their findings." : "The film stays, with its finding.";
  byId("means-drop").textContent = `Leave ${subject()} out of the list.`;
  byId("means-undecided").textContent = doubt.findings.length > 1 ? `File ${subject()} under ${doubt.findings.join(" or ")}.` : "No change; the list says undecided.";
}

/** Let decisions be made only where the films can be seen. */
function enable() {
  const shown = Boolean(state && state.doubt);
  byId("main").setAttribute("aria-busy", String(busy));
  if (shown) byId("main").dataset.doubt = state.doubt.number;
  for (const button of [...choices, ...byId("findings").children]) button.disabled = busy || !shown;
  byId("undo").disabled = busy || !state || !state.can_undo;
  byId("previous").disabled = !shown || state.doubt.number === 0;
  byId("next").disabled = !shown || state.doubt.number === state.num_doubts - 1;
}

// --- what a person does ---------------------------------------------------------------------------------------------

async function decide(choice, finding = "") {
  if (busy || !state.doubt) return;
  busy = true;
  enable();
  show(await ask(`v1/doubts/${state.doubt.number}`, { choice, finding, films: [...marked] }));
}

async function undo() {
  if (busy || !state.can_undo) return;
  busy = true;
  enable();
  show(await ask("v1/undo", {}));
}

async function go(step) {
  const number = state?.doubt ? state.doubt.number + step : -1;
  if (number >= 0 && number < state.num_doubts) show(await ask(`v1/doubts/${number}`));
}

function toggle(place) {
  if (!several()) return;
  if (marked.has(place) && marked.size > 1) marked.delete(place);
  else marked.add(place);
  showMarks();
}

function offerFindings(open) {
  byId("findings").hidden = !open;
  document.querySelector("[data-choice=relabel]").setAttribute("aria-expanded", String(open));
  if (!open) return;
  const children = [...byId("findings").children];
  (children.find((_, place) => state.findings[place] === state.doubt.suggestion) || children[0])?.focus();
}

function enlarge() {
  const large = byId("zoom").getAttribute("aria-pressed") !== "true";
  byId("zoom").setAttribute("aria-pressed", String(large));
  for (const frame of document.querySelectorAll(".frame")) {
    frame.classList.toggle("large", large);
    frame.scrollTo(0.3 * frame.scrollWidth, 0.3 * frame.scrollHeight);
  }
}

function toggleHeat() {
  const shown = byId("heat").getAttribute("aria-pressed") !== "true";
  byId("heat").setAttribute("aria-pressed", String(shown));
  for (const image of document.querySelectorAll("img.heat")) image.hidden = !shown;
}

function choose(choice) {
  if (busy || !state.doubt) return;
  if (choice === "relabel") offerFindings(byId("findings").hidden);
  else decide(choice);
}

const keys = {
  k: () => choose("keep"), r: () => choose("relabel"), d: () => choose("drop"), u: () => choose("undecided"),
  z: undo, h: toggleHeat, "+": enlarge, "-": enlarge, arrowleft: () => go(-1), arrowright: () => go(1), escape: () => offerFindings(false),
};

document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.altKey || (event.ctrlKey && event.key !== "z") || event.repeat || !state) return;
  const number = Number(event.key);
  if (number >= 1 && state.doubt) {
    if (byId("findings").hidden) toggle(number - 1);
    else if (state.findings[number - 1]) decide("relabel", state.findings[number - 1]);
  } else if (keys[event.key.toLowerCase()]) keys[event.key.toLowerCase()]();
  else return;
  event.preventDefault();
});
for (const button of choices) button.addEventListener("click", () => choose(button.dataset.choice));
byId("undo").addEventListener("click", undo);
byId("previous").addEventListener("click", () => go(-1));
byId("next").addEventListener("click", () => go(1));
byId("zoom").addEventListener("click", enlarge);
byId("heat").addEventListener("click", toggleHeat);
byId("alert-close").addEventListener("click", () => warn(""));
ask("v1/doubts").then(show);
