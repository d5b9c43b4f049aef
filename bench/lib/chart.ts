import type { Spread } from './statistics.js';

/** Pixels. */
const WIDTH = 760;
const LABEL_WIDTH = 190;
const VALUE_WIDTH = 130;
const BAR_WIDTH = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
const ROW = 26;
const BAR = 16;
const TOP = 40;
const BOTTOM = 10;

const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.product { fill: #1f6feb } .other { fill: #9aa4af } .spread { stroke: #24292f; stroke-opacity: .7 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .spread { stroke: #e6edf3 } }`;

export interface Bar {
  label: string;
  value: Spread;
  /** Of the product, not of a rival. */
  product: boolean;
}

export interface Chart {
  title: string;
  digits: number;
  bars: readonly Bar[];
}

/** A bar for each median, a thin line from the smallest to the largest. SVG that follows the reader's colours. */
export function barChart({ title, digits, bars }: Chart): string {
  const longest = Math.max(...bars.map(({ value }) => value.max)) || 1;
  const x = (value: number): number => LABEL_WIDTH + (Math.max(value, 0) / longest) * BAR_WIDTH;
  const rows = bars.map((bar, index) => row(bar, TOP + index * ROW, x, digits));
  const height = TOP + bars.length * ROW + BOTTOM;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>${STYLE}\n</style>`,
    `<text class="title" x="8" y="22">${escapeXml(title)}</text>`,
    ...rows,
    '</svg>\n',
  ].join('\n');
}

function row({ label, value, product }: Bar, y: number, x: (value: number) => number, digits: number): string {
  const middle = y + BAR / 2;
  const [from, to] = [round(x(value.min)), round(x(value.max))];
  const bar = `width="${round(x(value.median) - LABEL_WIDTH)}" height="${BAR}" rx="2"`;
  return [
    `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escapeXml(label)}</text>`,
    `<rect class="${product ? 'product' : 'other'}" x="${LABEL_WIDTH}" y="${y}" ${bar}/>`,
    `<line class="spread" x1="${from}" x2="${to}" y1="${middle}" y2="${middle}"/>`,
    `<text x="${to + 8}" y="${middle + 4}">${value.median.toFixed(digits)}</text>`,
  ].join('');
}

const round = (value: number): number => Math.round(value * 10) / 10;

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
