// Returns the texts of a page whose colours are closer than a ratio, by WCAG's formula:
// https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
(least) => {
  const parts = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const over = (front, back) => {
    const alpha = front[3] ?? 1;
    return [0, 1, 2].map((at) => front[at] * alpha + back[at] * (1 - alpha));
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backOf = (element) => {
    const own = parts(getComputedStyle(element).backgroundColor);
    if ((own[3] ?? 1) === 1) return own;
    const below = element.parentElement ? backOf(element.parentElement) : [255, 255, 255];
    return over(own, below);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim());
    if (!own.length || element.checkVisibility?.() === false || element.closest(":disabled")) continue;
    const style = getComputedStyle(element);
    const back = backOf(element);
    const [one, other] = [over(parts(style.color), back), back].map(luminance);
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < least) found.push(`${own[0].data.trim()} ${ratio.toFixed(2)} ${style.color}`);
  }
  return found;
}
