// The answers of all films as a CSV file and on paper. It uses what script.js holds.
"use strict";

// --- CSV: the columns of `hilum predict --format csv` (run/writing.py) -----------------------------------------------

const FORMULA = /^(\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])/; // a spreadsheet would compute it (text.py)
const NUMBER = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i;

function csvCell(value) {
  if (value === null || value === undefined) return "";
  let text = String(value);
  if (typeof value === "string" && FORMULA.test(text) && !NUMBER.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Return one film as [column, value] pairs. */
function flat(film, findings, hasMembers) {
  const [answer, error] = [film.answer, film.error];
  const judged = (value) => (answer ? value(answer) : null);
  return [
    ["file", FORMULA.test(film.name) ? `./${film.name}` : film.name],
    ["finding", judged((one) => one.finding)],
    ["accepted", answer ? answer.accepted : error.refused ? false : null],
    ["set", judged((one) => one.set.join("; "))],
    ["above_threshold", judged((one) => one.above_threshold.join("; "))],
    ["reasons", judged((one) => one.reasons.map((reason) => `${reason.code}: ${reason.message}`).join("; "))],
    ...findings.map((name) => [`probability_${name}`, judged((one) => one.probabilities[name])]),
    ...(hasMembers ? [["disagreement", judged((one) => one.disagreement)]] : []),
    ["outlier_score", judged((one) => one.outlier_score)],
    ["exposure", judged((one) => one.exposure)],
    ["heatmap", null],
    ["model_name", judged((one) => one.model.name)],
    ["model_sha256", judged((one) => one.model.sha256)],
    ["error", error && `${error.type}: ${error.message} ${error.fix ?? ""}`.trimEnd()],
    ["answer", answer ? (answer.finding ? inWords(answer) : "refused") : error.refused ? "refused" : "cannot be read"],
  ];
}

function asCsv(films) {
  const findings = state.model ? state.model.findings.map((one) => one.name) : Object.keys(films.find((one) => one.answer)?.answer.probabilities ?? {});
  const hasMembers = films.some((one) => (one.answer?.disagreement ?? null) !== null);
  const rows = films.map((film) => flat(film, findings, hasMembers));
  const lines = [rows[0].map(([column]) => column), ...rows.map((row) => row.map(([, value]) => value))];
  return lines.map((cells) => `${cells.map(csvCell).join(",")}\n`).join("");
}

byId("save-csv").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([asCsv(state.films)], { type: "text/csv" }));
  make("a", { href: url, download: "hilum-answers.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  say("The answers are saved as hilum-answers.csv.");
});

// --- paper: also for the browser's own Print -------------------------------------------------------------------------

const finishedFilms = () => state.films.filter((film) => film.answer || film.error);

function paperRow(film) {
  const picture = film.display ? [make("img", { src: film.display.film, alt: "" })] : [];
  const answer = film.answer;
  const ordered = answer ? Object.entries(answer.probabilities).sort((one, other) => other[1] - one[1]) : [];
  const told = answer?.accepted
    ? [make("p", {}, `Cannot be ruled out: ${answer.set.join(", ")}.`)]
    : [make("p", {}, answer ? answer.reasons.map((reason) => reason.message).join(" ") : `${film.error.message} ${film.error.fix ?? ""}`)];
  const title = answer ? inWords(answer) : film.error.refused ? "Refused" : "Could not be read";
  return make("tr", {},
    make("td", {}, ...picture),
    make("th", { scope: "row" }, film.name),
    make("td", {}, make("strong", {}, title), ...told),
    make("td", {}, ...(answer?.accepted ? ordered.map(([name, value]) => make("p", {}, `${name}: ${percent(value)}`)) : ["\u2013"])));
}

function paperParts(films) {
  const count = (test) => films.filter(test).length;
  const refused = count((film) => (film.answer && !film.answer.accepted) || film.error?.refused);
  const unread = count((film) => film.error && !film.error.refused);
  const said = [`${count((film) => film.answer?.accepted)} answered`, `${refused} refused`, `${unread} could not be read`];
  const share = state.model ? `${Math.round(100 * state.model.coverage)} %` : "most";
  return [
    make("h1", {}, "Answers for chest radiographs"),
    make("p", {}, `${films.length === 1 ? "1 film" : `${films.length} films`}: ${said.join(", ")}. Printed ${new Date().toLocaleString()}.`),
    make("p", {}, state.model ? `Model ${state.model.name}, SHA-256 ${state.model.sha256.slice(0, 12)}, hilum ${state.model.hilum_version}.` : ""),
    make("table", {},
      make("thead", {}, make("tr", {}, ...["Film", "Name", "Answer", "Probability"].map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...films.map(paperRow))),
    make("p", {}, `Cannot be ruled out: for ${share} of films like the calibration films, the true finding is in this list. The films are shown for recognition only.`),
  ];
}

addEventListener("beforeprint", () => byId("sheet-of-answers").replaceChildren(...(finishedFilms().length ? paperParts(finishedFilms()) : [])));
addEventListener("afterprint", () => byId("sheet-of-answers").replaceChildren());
byId("print").addEventListener("click", () => print());
