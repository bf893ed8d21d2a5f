// What the page and the page of `hilum review` share.
"use strict";

const byId = (id) => document.getElementById(id);

/** Return an element with properties and children; text is never read as HTML. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function warn(text) {
  byId("alert-text").textContent = text;
  byId("alert").hidden = !text;
}
