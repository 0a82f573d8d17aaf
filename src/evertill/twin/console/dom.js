// Descriptions of elements, and how the page is brought to look like them.
//
// Views return plain descriptions, so they can be tested without a browser; `patch` changes only
// what differs, so focus, selections and open details survive the update of every second.
// Texts become text nodes and attributes pass a list of allowed names: nothing is parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "line", "use", "g", "circle", "rect", "title"]);
const ALLOWED = new Set([
  "class", "id", "type", "name", "value", "for", "role", "title", "tabindex", "disabled",
  "step", "selected", "required", "viewBox", "d", "x1", "x2", "y1", "y2", "preserveAspectRatio",
  "href",
]);

/** Describe an element; children are descriptions, texts, numbers, or null for nothing. */
export function h(tag, attributes = {}, ...children) {
  const { key = null, ...rest } = attributes;
  const held = children.flat(Infinity).filter((child) => child !== null && child !== false);
  return { tag, key, attributes: rest, children: held.map(plain) };
}

/** Describe an icon of the sheet; the text beside it says the same in words. */
export function icon(name) {
  const use = h("use", { href: `icons.svg#${name}` });
  return h("svg", { class: `icon icon-${name}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, use);
}

/** Make the children of `parent` what `described` says, keeping the elements that stay. */
export function patch(parent, described) {
  // What goes away goes first: a node that has to be moved past it would lose the focus.
  const wanted = new Set(described.map((child) => child.key));
  for (const node of [...parent.childNodes]) {
    if (node.key != null && !wanted.has(node.key)) node.remove();
  }
  const old = [...parent.childNodes];
  const keyed = new Map(old.filter((node) => node.key != null).map((node) => [node.key, node]));
  const free = old.filter((node) => node.key == null);
  const kept = new Set();
  let place = parent.firstChild;
  for (const child of described) {
    let node = child.key == null ? free.shift() : keyed.get(child.key);
    if (node === undefined || kept.has(node) || !fits(node, child)) node = make(child);
    kept.add(node);
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
    update(node, child);
  }
  for (const node of [...parent.childNodes]) if (!kept.has(node)) node.remove();
}

function plain(child) {
  return typeof child === "object" ? child : { text: String(child), key: null };
}

function fits(node, child) {
  if ("text" in child) return node.nodeType === 3;
  return node.nodeType === 1 && node.localName === child.tag;
}

function make(child) {
  if ("text" in child) return document.createTextNode("");
  const node = SVG_TAGS.has(child.tag)
    ? document.createElementNS(SVG, child.tag)
    : document.createElement(child.tag);
  if (child.key != null) node.key = child.key;
  return node;
}

function update(node, child) {
  if ("text" in child) {
    if (node.data !== child.text) node.data = child.text;
    return;
  }
  const wanted = new Map();
  for (const [name, value] of Object.entries(child.attributes)) {
    if (!ALLOWED.has(name) && !name.startsWith("data-") && !name.startsWith("aria-")) {
      throw new Error(`An attribute that the console does not set: ${name}`);
    }
    if (value !== null && value !== false) wanted.set(name, value === true ? "" : String(value));
  }
  for (const name of node.getAttributeNames()) {
    // The user opens and closes details; the page does not.
    if (name !== "open" && !wanted.has(name)) node.removeAttribute(name);
  }
  for (const [name, value] of wanted) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  patch(node, child.children);
}
