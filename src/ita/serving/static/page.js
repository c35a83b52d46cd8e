"use strict";

const element = (id) => document.getElementById(id);
const HUES = [210, 130, 40, 330, 270, 180, 10, 80];
const hues = new Map();
let picture = null;

function hueOf(type) {
  if (!hues.has(type)) hues.set(type, HUES[hues.size % HUES.length]);
  return hues.get(type);
}

function create(name, text, className) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

function choose(file) {
  picture = file || null;
  element("chosen").hidden = !picture;
  if (element("preview").src) URL.revokeObjectURL(element("preview").src);
  if (picture) element("preview").src = URL.createObjectURL(picture);
  else { element("preview").removeAttribute("src"); element("image").value = ""; }
}

function showEntities(post) {
  // Offsets count code points, not the halves that JavaScript's strings are made of.
  const characters = Array.from(post.text);
  const parts = [];
  let end = 0;
  for (const entity of post.entities) {
    parts.push(characters.slice(end, entity.start).join(""));
    const mark = create("mark", characters.slice(entity.start, entity.end).join(""));
    mark.style.setProperty("--hue", hueOf(entity.type));
    mark.append(" ", create("span", `${entity.type} ${Math.round(100 * entity.score)} %`, "type"));
    parts.push(mark);
    end = entity.end;
  }
  parts.push(characters.slice(end).join(""));
  element("marked").replaceChildren(...parts);
  element("legend").textContent = post.entities.length
    ? "Each entity has its type and the probability that the model gives it."
    : "No entity was found.";
}

function showPicture(post) {
  const imageText = post.image_text || {};
  element("said").hidden = !post.image_status;
  const unread = post.image_status === "unread" ? "The model did not look at the picture." : "";
  element("image-error").textContent = post.image_error ? `The picture was not read: ${post.image_error}` : unread;
  const tags = (imageText.objects || []).map((object) =>
    [...(object.attributes || []).slice(0, 1).map((attribute) => attribute.label), object.label].join(" "));
  const captions = (imageText.captions || []).map((caption) => caption.caption);
  const rows = [["Tags", [...new Set(tags)].join(", ")], ["Captions", captions.join("\n")], ["Text in it", imageText.ocr_text]];
  element("image-text").replaceChildren(...rows.filter(([, text]) => text).flatMap(([name, text]) =>
    [create("dt", name), create("dd", text)]));
  if (!post.image_error && !unread && !rows.some(([, text]) => text)) element("image-error").textContent = "Nothing.";
}

async function send(event) {
  event.preventDefault();
  const form = new FormData();
  form.set("text", element("text").value);
  form.set("explain", "true");
  if (picture) form.set("image", picture);
  element("send").disabled = true;
  element("error").textContent = "";
  element("status").textContent = "Reading …";
  try {
    const response = await fetch("v1/upload", { method: "POST", body: form });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error + (answer.expected ? ` (expected: ${answer.expected})` : ""));
    const [post] = answer.posts;
    if (post.error) throw new Error(post.error);
    showEntities(post);
    showPicture(post);
    element("answer").hidden = false;
    const count = post.entities.length;
    element("status").textContent = `${count} ${count === 1 ? "entity" : "entities"} found.`;
  } catch (error) {
    element("answer").hidden = true;
    element("status").textContent = "";
    element("error").textContent = error instanceof TypeError ? "The service does not answer." : error.message;
  } finally {
    element("send").disabled = false;
  }
}

element("form").addEventListener("submit", send);
element("image").addEventListener("change", (event) => choose(event.target.files[0]));
element("remove").addEventListener("click", () => choose(null));
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", name.startsWith("drage") || name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) choose(event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", (event) => {
  const file = Array.from(event.clipboardData.files).find((item) => item.type.startsWith("image/"));
  if (file) { event.preventDefault(); choose(file); }
});
fetch("openapi.json").then((response) => response.json()).then((page) => {
  element("model").textContent = page.info.description;
}).catch(() => {});
