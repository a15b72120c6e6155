import type { ServerResponse } from 'node:http'
import { type Html, html } from '../service/html.ts'

/** What the login page shows. */
export interface LoginPage {
  /** Where the form goes. */
  readonly action: string
  readonly clientName: string
  /** The name typed before, when the page is shown again. */
  readonly user?: string
  /** Why the page is shown again. */
  readonly problem?: string
  /** Where the browser is sent in the end: a form may be redirected only to places the page's CSP names. */
  readonly callback: string
}

export function renderLoginPage(
  res: ServerResponse,
  basePath: string,
  status: number,
  page: LoginPage,
  headers: Readonly<Record<string, string>> = {},
): void {
  const described = page.problem ? html`aria-describedby="problem"` : undefined
  const body = html`
    <h1>Sign in</h1>
    <p class="to">to continue to <strong>${page.clientName}</strong></p>
    ${page.problem && html`<p class="problem" id="problem" role="alert">${page.problem}</p>`}
    <form method="post" action="${page.action}">
      <label for="user">User name</label>
      <input id="user" name="user" value="${page.user ?? ''}" autocomplete="username" autocapitalize="none"
        spellcheck="false" required maxlength="64" ${described} ${page.user ? '' : html`autofocus`}>
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required maxlength="256"
        ${described} ${page.user ? html`autofocus` : ''}>
      <button type="submit" name="do" value="login">Sign in</button>
      <button type="submit" name="do" value="cancel" class="quiet" formnovalidate>Cancel</button>
    </form>`
  send(res, basePath, status, 'Sign in', body, headers, URL.parse(page.callback)?.origin)
}

export function renderErrorPage(
  res: ServerResponse,
  basePath: string,
  status: number,
  error: string,
  description: string | undefined,
): void {
  const body = html`
    <h1>That did not work</h1>
    <p>${description ?? 'The request cannot be answered.'}</p>
    <p class="quiet"><code>${error}</code></p>
    <p><a href="/">Back to the shop</a></p>`
  send(res, basePath, status, 'That did not work', body)
}

function send(
  res: ServerResponse,
  basePath: string,
  status: number,
  title: string,
  body: Html,
  headers: Readonly<Record<string, string>> = {},
  callbackOrigin = '',
): void {
  const page = html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${title}</title>
  <link rel="stylesheet" href="${basePath}/style.css">
</head>
<body><main>${body}</main></body>
</html>
`
  res.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': `default-src 'none'; style-src 'self'; form-action 'self' ${callbackOrigin}; base-uri 'none'; frame-ancestors 'none'`,
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    ...headers,
  })
  res.end(page.markup)
}
