// Texts that stand out too little from what is behind them: WCAG 2.2 asks for 4.5 to 1, of large text 3 to 1.
() => {
  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const blend = ([r, g, b, a = 1], under) => [r, g, b].map((c, i) => a * c + (1 - a) * under[i]);
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parts(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, layer) => blend(layer, under), [255, 255, 255]);
  };
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const weak = [];
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join('');
    const style = getComputedStyle(element);
    if (!/[\p{L}\p{N}]/u.test(text) || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || element.closest(':disabled')) continue;
    if (!/^rgba?\(/.test(style.color) || element.closest('svg')) continue;
    const back = behind(element);
    const [high, low] = [light(blend(parts(style.color), back)), light(back)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < (large ? 3 : 4.5)) weak.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return weak;
}
