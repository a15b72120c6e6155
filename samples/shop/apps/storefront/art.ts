import { type Html, html } from '../service/html.ts'

/** A picture of a product, drawn by hand; what the shop has no picture of is a crate. */
export function productArt(id: string): Html {
  return html`<svg class="art" viewBox="0 0 200 140" aria-hidden="true">
    <rect class="wall" width="200" height="140"/>
    <rect fill="url(#rings)" width="200" height="140"/>
    ${Object.hasOwn(PICTURES, id) ? PICTURES[id] : CRATE}
  </svg>`
}

/** The pattern behind the pictures: once on a page that shows some. */
export const ART_PATTERNS = html`<svg class="patterns" width="0" height="0" aria-hidden="true">
  <defs>
    <pattern id="rings" width="16" height="14" patternUnits="userSpaceOnUse">
      <g class="ring"><circle cx="4" cy="4" r="5"/><circle cx="12" cy="11" r="5"/></g>
    </pattern>
    <pattern id="mail" width="8" height="7" patternUnits="userSpaceOnUse">
      <g class="link"><circle cx="2" cy="2" r="2.6"/><circle cx="6" cy="5.5" r="2.6"/></g>
    </pattern>
  </defs>
</svg>`

const TUNIC = 'M72 24 86 18 Q100 32 114 18 L128 24 152 62 133 72 126 58 132 124 H68 L74 58 67 72 48 62 Z'
const HOOD = 'M66 118 Q52 62 74 36 Q100 10 126 36 Q148 62 134 118 Q100 130 66 118 Z'

const PICTURES: Readonly<Record<string, Html>> = {
  hauberk: html`<path class="steel" d="${TUNIC}"/><path fill="url(#mail)" d="${TUNIC}"/>
    <path class="line" d="${TUNIC}"/><path class="leather" d="M71 90 H129 L130 98 H70 Z"/>`,
  coif: html`<path class="steel" d="${HOOD}"/><path fill="url(#mail)" d="${HOOD}"/><path class="line" d="${HOOD}"/>
    <ellipse class="shade" cx="100" cy="66" rx="21" ry="27"/><ellipse class="line" cx="100" cy="66" rx="21" ry="27"/>`,
  gambeson: html`<path class="cloth" d="${TUNIC}"/>
    <path class="seam" d="M80 30 78 122 M90 30 V123 M100 32 V123 M110 30 V123 M120 30 122 122 M72 50 H128 M70 74 H130 M69 98 H131"/>
    <path class="line" d="${TUNIC}"/>`,
  gauntlets: html`<path class="steel" d="M58 124 66 88 Q62 62 66 40 Q69 32 74 40 L76 58 80 30 Q84 22 88 30 L89 58 94 32 Q99 26 101 34 L100 62 106 46 Q111 42 112 49 L106 88 116 124 Z"/>
    <path class="seam" d="M66 88 H106 M68 76 H107 M68 64 H106"/>
    <path class="line" d="M58 124 66 88 Q62 62 66 40 Q69 32 74 40 L76 58 80 30 Q84 22 88 30 L89 58 94 32 Q99 26 101 34 L100 62 106 46 Q111 42 112 49 L106 88 116 124 Z"/>
    <path class="leather" d="M118 124 124 96 H152 L162 124 Z"/><path class="steel" d="M124 96 Q120 66 130 56 H146 Q156 66 152 96 Z"/>
    <path class="line" d="M124 96 Q120 66 130 56 H146 Q156 66 152 96 Z M118 124 124 96 H152 L162 124 Z"/>
    <path class="seam" d="M123 84 H153 M123 72 H152"/>`,
  'great-helm': html`<path class="steel" d="M64 36 Q100 20 136 36 L140 112 Q100 132 60 112 Z"/>
    <path class="brass" d="M96 29 H104 V121 H96 Z M62 58 H138 V72 H62 Z"/>
    <path class="shade" d="M68 62 H94 V68 H68 Z M106 62 H132 V68 H106 Z"/>
    <g class="shade"><circle cx="112" cy="84" r="2.4"/><circle cx="122" cy="84" r="2.4"/><circle cx="112" cy="94" r="2.4"/>
      <circle cx="122" cy="94" r="2.4"/><circle cx="112" cy="104" r="2.4"/><circle cx="122" cy="104" r="2.4"/></g>
    <path class="line" d="M64 36 Q100 20 136 36 L140 112 Q100 132 60 112 Z"/>`,
  buckler: html`<circle class="leather" cx="100" cy="70" r="52"/><circle class="seam" cx="100" cy="70" r="42"/>
    <path class="seam" d="M100 18 V122 M48 70 H152"/><circle class="line" cx="100" cy="70" r="52"/>
    <circle class="steel" cx="100" cy="70" r="19"/><circle class="line" cx="100" cy="70" r="19"/><circle class="shine" cx="94" cy="64" r="5"/>`,
}

const CRATE = html`<rect class="leather" x="52" y="32" width="96" height="84" rx="4"/>
  <path class="seam" d="M52 52 H148 M52 96 H148 M52 52 148 96 M148 52 52 96"/>
  <rect class="line" x="52" y="32" width="96" height="84" rx="4"/>`

export const FAVICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#8a3b12"/><g fill="none" stroke="#fff" stroke-width="2.4"><circle cx="12" cy="13" r="6"/><circle cx="20" cy="13" r="6"/><circle cx="16" cy="20" r="6"/></g></svg>
`
