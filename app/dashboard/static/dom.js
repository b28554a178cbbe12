// Making and changing elements. Text is only ever set as text: values, names and errors are never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; `on…` are listeners, null and false are left out. */
export function el(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

/** Set text where it differs, so that nothing is announced or repainted that has not changed. */
export function say(node, text) {
  const wanted = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

export function mark(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value === true ? "" : value);
  }
}

export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

/** Make the children of a node as these are, keeping what can stay, and so what has focus. Listeners are not changed. */
export function change(node, ...children) {
  const wanted = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== "");
  wanted.forEach((child, n) => {
    const there = node.childNodes[n];
    if (!there) node.append(child);
    else if (there.nodeName !== (child.nodeName ?? "#text")) there.replaceWith(child);
    else if (there.nodeType === Node.TEXT_NODE) {
      const text = child.data ?? String(child);
      if (there.data !== text) there.data = text;
    } else {
      for (const name of there.getAttributeNames()) mark(there, name, child.getAttribute(name));
      for (const name of child.getAttributeNames()) mark(there, name, child.getAttribute(name));
      change(there, [...child.childNodes]);
    }
  });
  while (node.childNodes.length > wanted.length) node.lastChild.remove();
}

/** Put nodes in this order under their parent, moving as few as possible, and never the one that has focus. */
export function order(parent, nodes) {
  const wanted = new Set(nodes);
  for (const node of [...parent.children]) if (!wanted.has(node)) node.remove();
  let at = parent.firstElementChild;
  for (const node of nodes) {
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}

const SHAPES = {
  starting: [["circle", { cx: 7, cy: 7, r: 4.6, "stroke-width": 1.7, "stroke-dasharray": "2.4 2.4" }]],
  open: [["circle", { cx: 7, cy: 7, r: 3.6, fill: "currentColor", stroke: "none" }]],
  paused: [["path", { d: "M3.4 2.5h2.5v9H3.4zM8.1 2.5h2.5v9H8.1z", fill: "currentColor", stroke: "none" }]],
  exhausted: [["path", { d: "M1 7h9M12 2.5v9", "stroke-width": 1.7 }]],
  failed: [
    ["path", { d: "M4.4 1h5.2L13 4.4v5.2L9.6 13H4.4L1 9.6V4.4z", fill: "currentColor", stroke: "none" }],
    ["path", { d: "M7 3.8v3.8M7 9.2v1.4", stroke: "var(--surface)", "stroke-width": 1.7 }],
  ],
  closed: [["rect", { x: 2.4, y: 2.4, width: 9.2, height: 9.2, rx: 1.6, "stroke-width": 1.7 }]],
  dead: [["path", { d: "M3 3l8 8M11 3l-8 8", "stroke-width": 2 }]],
  good: [["path", { d: "M2 7.4l3.4 3.4L12 3.8", "stroke-width": 2 }]],
  old: [["circle", { cx: 7, cy: 7, r: 5.2, "stroke-width": 1.5 }], ["path", { d: "M7 4v3.3l2 1.4", "stroke-width": 1.5 }]],
  eye: [
    ["path", { d: "M1 7c1.7-2.8 3.6-4.2 6-4.2S11.300 4.200 13 7c-1.700 2.800-3.600 4.200-6 4.200S2.700 9.800 1 7z", "stroke-width": 1.4 }],
    ["circle", { cx: 7, cy: 7, r: 1.7, fill: "currentColor", stroke: "none" }],
  ],
  again: [["path", { d: "M11.600 4.300A5 5 0 1 0 12 8M12 1.600v3h-3", "stroke-width": 1.7 }]],
  push: [["path", { d: "M7 1v7M3.800 5.200 7 8.400l3.200-3.200M1.500 12.500h11", "stroke-width": 1.7 }]],
  copy: [["path", { d: "M4.500 4.500h8v8h-8zM9.500 4.500v-3h-8v8h3", "stroke-width": 1.5 }]],
  more: [["path", { d: "M2 7h1.600M6.200 7h1.600M10.400 7H12", "stroke-width": 2, "stroke-linecap": "round" }]],
  moon: [["path", { d: "M11.800 8.600A5 5 0 0 1 5.400 2.200a5 5 0 1 0 6.400 6.400z", "stroke-width": 1.5 }]],
  sun: [
    ["circle", { cx: 7, cy: 7, r: 2.5, "stroke-width": 1.5 }],
    ["path", { d: "M7 .8v1.600M7 11.600v1.600M.8 7h1.600M11.600 7h1.600M2.600 2.600l1.100 1.100M10.300 10.300l1.100 1.100M11.400 2.600l-1.100 1.100M3.700 10.300l-1.100 1.100", "stroke-width": 1.4 }],
  ],
  system: [["path", { d: "M1.500 2.500h11v7h-11zM5 12.500h4", "stroke-width": 1.5 }]],
};

/** A shape beside a word; the word says it, so the shape is hidden from a screen reader. */
export function shape(name) {
  const parts = SHAPES[name] ?? SHAPES.open;
  return svg("svg", { class: "shape", viewBox: "0 0 14 14", "aria-hidden": "true" }, parts.map(([tag, at]) => svg(tag, at)));
}

export function button(text, { icon, kind = "", ...attributes } = {}) {
  return el("button", { type: "button", class: `button ${kind}`.trim(), ...attributes }, icon && shape(icon), text);
}

export function stateOf(word) {
  return el("span", { class: "state", "data-state": word }, shape(word), word);
}
