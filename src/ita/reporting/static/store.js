"use strict";
// Data of the pages: every file of data/ hands its value to ita.put. Files on disk cannot be fetched, but scripts run.
window.ita = (() => {
  const values = new Map();
  const waiting = new Map();

  function load(name) {
    if (values.has(name)) return Promise.resolve(values.get(name));
    if (!waiting.has(name)) {
      waiting.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `data/${encodeURIComponent(name)}.js`;
        script.onload = () => resolve(values.get(name));
        script.onerror = () => reject(new Error(`data/${name}.js cannot be read`));
        document.head.append(script);
      }));
    }
    return waiting.get(name);
  }

  return {
    put: (name, value) => values.set(name, value),
    has: (name) => values.has(name),
    get: (name) => values.get(name),
    load,
  };
})();

ita.create = (name, text, className) => {
  const node = document.createElement(name);
  if (text !== undefined && text !== null) node.textContent = text;
  if (className) node.className = className;
  return node;
};
