"use strict";

function create(name, text) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  return node;
}

function resolve(schema, page) {
  return schema && schema.$ref ? page.components.schemas[schema.$ref.split("/").pop()] : schema || {};
}

function typeOf(schema, page) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map((item) => typeOf(item, page)).filter((type) => type !== "null").join(" or ");
  if (schema.enum) return schema.enum.join(" or ");
  if (schema.const) return schema.const;
  if (schema.type === "array") return `list of ${typeOf(schema.items || {}, page)}`;
  return schema.format === "binary" || schema.contentMediaType ? "file" : schema.type || "any";
}

function fields(schema, page) {
  const list = create("dl");
  for (const [name, field] of Object.entries(resolve(schema, page).properties || {})) {
    const required = (resolve(schema, page).required || []).includes(name) ? ", required" : "";
    list.append(create("dt", `${name} (${typeOf(field, page)}${required})`), create("dd", field.description || ""));
  }
  return list;
}

function route(path, method, operation, page) {
  const section = create("section");
  section.append(create("h2", `${method.toUpperCase()} ${path}`), create("p", operation.summary || ""));
  const body = Object.entries(((operation.requestBody || {}).content) || {})[0];
  if (body) section.append(create("h3", `Request, ${body[0]}`), fields(body[1].schema, page));
  const answer = (((operation.responses || {})["200"] || {}).content || {})["application/json"];
  if (answer && answer.schema.$ref) section.append(create("h3", "Answer"), fields(answer.schema, page));
  const errors = Object.keys(operation.responses || {}).filter((code) => code !== "200");
  if (errors.length) section.append(create("p", `Errors: ${errors.join(", ")}`));
  return section;
}

fetch("openapi.json").then((response) => response.json()).then((page) => {
  const routes = document.getElementById("routes");
  for (const [path, operations] of Object.entries(page.paths)) {
    for (const [method, operation] of Object.entries(operations)) routes.append(route(path, method, operation, page));
  }
  for (const [name, schema] of Object.entries(page.components.schemas)) {
    const section = create("section");
    section.append(create("h2", name), create("p", schema.description || ""), fields(schema, page));
    if (!/^(HTTP)?Validation|^Body_/.test(name)) routes.append(section);
  }
  routes.removeAttribute("aria-busy");
});
