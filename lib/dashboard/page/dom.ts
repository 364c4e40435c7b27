// Elements, made of words: nothing here becomes markup, whatever somebody has called a channel.

type Attribute = string | number | boolean | undefined
type Child = Node | string | undefined

/** `true` is an attribute without a value; `undefined` and `false` are none. */
type Attributes = Readonly<Record<string, Attribute>>

export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  return filled(document.createElement(tag), attributes, children)
}

export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Tag] {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children)
}

function filled<E extends Element>(
  element: E,
  attributes: Attributes,
  children: readonly Child[],
): E {
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value)
  element.append(...children.filter((child) => child !== undefined))
  return element
}

export function setAttribute(element: Element, name: string, value: Attribute): void {
  if (value === undefined || value === false) element.removeAttribute(name)
  else {
    const text = value === true ? '' : String(value)
    if (element.getAttribute(name) !== text) element.setAttribute(name, text)
  }
}

/** Only if it says something else: what is selected in it stays so, and nothing is drawn anew. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

export function on<Name extends keyof HTMLElementEventMap>(
  element: HTMLElement,
  name: Name,
  listener: (event: HTMLElementEventMap[Name]) => void,
): void {
  element.addEventListener(name, listener)
}

/** Words that only a screen reader says. */
export function unseen(text: string): HTMLElement {
  return el('span', { class: 'unseen' }, text)
}
