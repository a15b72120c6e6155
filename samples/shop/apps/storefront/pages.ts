import { type Html, html } from '../service/html.ts'
import { ART_PATTERNS, productArt } from './art.ts'
import type { Order, Product } from './shop-api.ts'

/** Who looks at a page: nobody in particular, or someone who is logged in. */
export interface Viewer {
  readonly user: string
  readonly csrf: string
}

export function catalogPage(products: readonly Product[], viewer: Viewer | undefined): Html {
  return layout(
    'Catalog',
    viewer,
    '/',
    html`
    <div class="hero">
      <h1>Wear something that holds</h1>
      <p>Mail, plate and padding from a workshop that tests each ring.</p>
    </div>
    ${ART_PATTERNS}
    <ul class="grid">${products.map(
      (product) => html`
      <li class="card">
        ${productArt(product.id)}
        <div class="body">
          <h2><a class="whole" href="/products/${product.id}">${product.name}</a></h2>
          <p>${product.description}</p>
          <p class="price">${price(product.priceCents)}</p>
        </div>
      </li>`,
    )}</ul>`,
  )
}

/** `attempt` names this order: sent twice, it is one order. */
export function productPage(product: Product, viewer: Viewer | undefined, attempt: string): Html {
  const buy = viewer
    ? html`
      <form class="panel" method="post" action="/orders">
        <input type="hidden" name="csrf" value="${viewer.csrf}">
        <input type="hidden" name="attempt" value="${attempt}">
        <input type="hidden" name="productId" value="${product.id}">
        <label for="quantity">Quantity</label>
        <input id="quantity" name="quantity" type="number" min="1" max="99" value="1" required inputmode="numeric">
        <label for="address">Ship to</label>
        <textarea id="address" name="shippingAddress" rows="3" maxlength="500" required
          autocomplete="street-address"></textarea>
        <label for="card">Card number</label>
        <input id="card" name="cardNumber" inputmode="numeric" pattern="[0-9 ]{12,24}" required
          value="4242 4242 4242 4242" autocomplete="off" aria-describedby="card-hint">
        <p class="hint" id="card-hint">Nothing is charged. 4000 0000 0000 0002 is declined.</p>
        <button type="submit">Place order</button>
      </form>`
    : html`
      <div class="panel">
        <p>Who shall it be for?</p>
        <a class="button" href="/login?return=/products/${product.id}">Sign in to order</a>
      </div>`
  return layout(
    product.name,
    viewer,
    '/',
    html`
    ${ART_PATTERNS}
    <div class="product">
      <div>${productArt(product.id)}</div>
      <div>
        <h1>${product.name}</h1>
        <p class="lead">${product.description}</p>
        <p class="price">${price(product.priceCents)}</p>
        ${buy}
      </div>
    </div>`,
  )
}

/** `placed` is the id of the order that was just placed. */
export function ordersPage(orders: readonly Order[], viewer: Viewer, placed: string | undefined): Html {
  const isPlaced = orders.some(({ id }) => id === placed)
  const list = orders.length
    ? html`<ul class="orders">${orders.map(
        (order) => html`
      <li class="card order">
        <div class="body">
          <h2><span class="status ${order.status}">${order.status}</span>
            <time datetime="${order.createdAt}">${date(order.createdAt)}</time></h2>
          <ul class="items">${order.items.map(
            (item) => html`
            <li><span>${item.quantity} × ${item.name}</span> <span>${price(item.priceCents * item.quantity)}</span></li>`,
          )}</ul>
          <p class="total"><span>Total</span> <span>${price(order.totalCents)}</span></p>
          <p class="hint">To ${order.shippingAddress}. Card ending in ${order.cardTail}. Order ${order.id}.</p>
        </div>
      </li>`,
      )}</ul>`
    : html`<p class="panel">You have not ordered anything yet. <a href="/">See what there is</a>.</p>`
  return layout(
    'My orders',
    viewer,
    '/orders',
    html`
    <h1>My orders</h1>
    ${isPlaced && html`<p class="notice" role="status">Thank you. Your order is on its way to the anvil.</p>`}
    ${list}`,
  )
}

export function problemPage(title: string, text: string, viewer: Viewer | undefined): Html {
  return layout(
    title,
    viewer,
    '',
    html`
    <div class="problem">
      <h1>${title}</h1>
      <p class="lead">${text}</p>
      <p><a class="button" href="/">Back to the catalog</a></p>
    </div>`,
  )
}

function layout(title: string, viewer: Viewer | undefined, here: string, main: Html): Html {
  const link = (href: string, text: string) =>
    html`<a href="${href}" ${href === here ? html`aria-current="page"` : ''}>${text}</a>`
  const account = viewer
    ? html`
      <span class="user" title="Signed in as ${viewer.user}">
        <span class="initial" aria-hidden="true">${viewer.user.slice(0, 1).toUpperCase()}</span>${viewer.user}</span>
      <form method="post" action="/logout">
        <input type="hidden" name="csrf" value="${viewer.csrf}">
        <button class="quiet" type="submit">Sign out</button>
      </form>`
    : html`<a class="button" href="/login">Sign in</a>`
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${title} · Mail &amp; Plate</title>
  <link rel="stylesheet" href="/style.css">
  <link rel="icon" href="/favicon.svg" type="image/svg+xml">
</head>
<body>
  <a class="skip" href="#main">Skip to the content</a>
  <header>
    <a class="brand" href="/">Mail <span>&amp;</span> Plate</a>
    <nav aria-label="Shop">${link('/', 'Catalog')}${link('/orders', 'My orders')}</nav>
    <div class="account">${account}</div>
  </header>
  <main id="main">${main}</main>
  <footer>A sample of a mesh. Nothing here is for sale.</footer>
</body>
</html>
`
}

const EUROS = new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' })
const DATES = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })

function price(cents: number): string {
  return EUROS.format(cents / 100)
}

function date(rfc3339: string): string {
  return `${DATES.format(new Date(rfc3339))} UTC`
}
