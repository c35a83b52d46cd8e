"use strict";
// What is shown, in the address behind "#": a link leads to the same post, systems and filters.
ita.state = (() => {
  const FIELDS = ["post", "a", "b", "q", "in", "split", "type", "outcome", "seeds", "error", "of", "picture", "seen"];
  const listeners = [];
  let values = {};
  let defaults = {};

  function parse(hash) {
    const asked = new URLSearchParams(hash.replace(/^#/, ""));
    const read = { ...defaults };
    for (const name of FIELDS) if (asked.has(name)) read[name] = asked.get(name);
    return read;
  }

  function format(changes = {}) {
    const next = { ...values, ...changes };
    const parts = FIELDS.filter((name) => next[name] !== undefined && next[name] !== defaults[name]);
    return `#${parts.map((name) => `${name}=${encodeURIComponent(next[name]).replaceAll("%2F", "/")}`).join("&")}`;
  }

  function tell(before) {
    for (const listener of listeners) listener(values, before);
  }

  function set(changes, remember = false) {
    const hash = format(changes);
    if (remember) history.pushState(null, "", hash);
    else history.replaceState(null, "", hash);
    const before = values;
    values = { ...values, ...changes };
    tell(before);
  }

  function start(initial) {
    defaults = Object.fromEntries(FIELDS.map((name) => [name, initial[name] ?? ""]));
    values = parse(location.hash);
    const follow = () => {
      const before = values;
      values = parse(location.hash);
      tell(before);
    };
    addEventListener("hashchange", follow);
    addEventListener("popstate", follow);
  }

  return {
    start, set, format,
    get: () => values,
    defaults: () => defaults,
    listen: (listener) => listeners.push(listener),
  };
})();
