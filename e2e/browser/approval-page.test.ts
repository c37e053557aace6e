import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { ApprovalPage } from '@alter-vault/contracts'
import AxeBuilder from '@axe-core/playwright'
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { launchBrowser } from '../support/browser.ts'
import { buildApp } from '../support/build-app.ts'
import { decisionState, LINK_TOKEN, type Script, startApprovalPageServer } from './approval-page-server.ts'
import {
  bodyOf,
  emptyBody,
  endedPage,
  executedPage,
  hiddenBody,
  ids,
  openPage,
  openPageWith,
  SAMPLE_NOW,
  signInPage,
} from './approval-samples.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 180_000 })

const SCRIPT_BUDGET_BYTES = 150_000
const PHONE = { width: 360, height: 740 }

let app: Awaited<ReturnType<typeof buildApp>>
let server: Awaited<ReturnType<typeof startApprovalPageServer>>
let browser: Browser

beforeAll(async () => {
  app = await buildApp('wallet')
  server = await startApprovalPageServer(app.dist)
  browser = await launchBrowser()
})

afterAll(async () => {
  await browser?.close()
  await server?.close()
  await app?.close()
})

const complaints: string[] = []

afterEach(async () => {
  for (const context of browser.contexts()) await context.close()
  expect(server.mistakes, 'both sides speak the contract').toEqual([])
  expect(complaints.splice(0), 'nothing was refused by the content security policy and nothing was thrown').toEqual([])
  for (const { url } of server.requests) expect(url, 'the token is in no address').not.toContain(LINK_TOKEN)
})

type Options = BrowserContextOptions & { link?: string; expectedErrors?: RegExp }

/** Opens the page on a clock that stands still until a test moves it. */
async function openWith(script: Partial<Script> & { page: ApprovalPage }, options: Options = {}): Promise<Page> {
  const { link = server.link(), expectedErrors, ...contextOptions } = options
  server.play({ decide: () => decisionState(), ...script })
  const context = await browser.newContext({ viewport: PHONE, ...contextOptions })
  const page = await context.newPage()
  const isExpected = (text: string) => expectedErrors?.test(text) ?? false
  page.on('console', (message) => {
    if (message.type() === 'error' && !isExpected(message.text())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.clock.install({ time: SAMPLE_NOW })
  await page.clock.pauseAt(new Date(Date.parse(SAMPLE_NOW) + 1_000))
  await page.goto(link)
  await page.getByRole('heading', { level: 1 }).waitFor()
  return page
}

/* Found by tag: looking for a role walks the whole document, which is slow beside a very large body. */
const approveButton = (page: Page) => page.locator('button', { hasText: /^Approve$/ })
const denyButton = (page: Page) => page.locator('button', { hasText: /^Deny$/ })
const isInert = async (page: Page) => (await approveButton(page).getAttribute('aria-disabled')) === 'true'
const title = (page: Page) => page.getByRole('heading', { level: 1 })

/* The part of the browser's own objects that is used here: these files are checked against the types of the server. */
type InBrowser = {
  ownerDocument: {
    defaultView: { getComputedStyle: (element: unknown) => { getPropertyValue: (name: string) => string } }
  }
}
const computedStyle = (locator: Locator, property: string) =>
  locator.evaluate(
    (element, name) =>
      (element as unknown as InBrowser).ownerDocument.defaultView.getComputedStyle(element).getPropertyValue(name),
    property,
  )
const hasFocus = async (page: Page, locator: Locator) => (await locator.and(page.locator(':focus')).count()) === 1

const STEP_MS = 100

/** The reader comes to the end of what would be sent, and with it past everything else on a small screen. */
async function readToEnd(page: Page): Promise<void> {
  await page.clock.runFor(STEP_MS)
  await page.evaluate("document.querySelector('[data-end-of-request]')?.scrollIntoView({ block: 'center' })")
}

/** Reads to the end and lets time pass in steps until the buttons may be pressed; answers how long that took, in milliseconds. */
async function untilArmed(page: Page): Promise<number> {
  await readToEnd(page)
  for (let passed = 0; passed <= 20_000; passed += STEP_MS) {
    if (!(await isInert(page))) return passed
    await page.clock.runFor(STEP_MS)
  }
  throw new Error('the buttons never came alive')
}

/** Lets time pass in steps until something is on the page. */
async function untilShown(page: Page, locator: Locator): Promise<void> {
  for (let step = 0; step < 200; step += 1) {
    if (await locator.count()) return
    await page.clock.runFor(STEP_MS)
  }
  throw new Error(`never shown: ${locator}`)
}

async function expectNoOverflow(page: Page) {
  expect(
    await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'),
  ).toBeLessThanOrEqual(0)
}

async function expectAccessible(page: Page) {
  await page.clock.resume()
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual([])
}

const LONG_NAME = 'a-name-of-one-hundred-characters-that-nothing-lets-a-browser-break-anywhere-at-all-so-it-must-itself'
const LONG_HEADER = `${'value-without-a-break'.repeat(20)}`

const STATES: Record<string, ApprovalPage> = {
  'a request that waits': openPage(),
  'a request that needs a signed-in approver': signInPage(),
  'a request full of warnings': openPageWith(
    {
      url: 'https://xn--strpe-p4d.com:8443/v1/refunds',
      url_parts: {
        scheme: 'https',
        host: 'xn--strpe-p4d.com',
        host_unicode: 'strіpe.com',
        port: 8443,
        path: '/v1/refunds',
        path_reads: null,
      },
      query: [],
      body: bodyOf('json', '{"amount":1,"amount":2}', { doubt: 'ambiguous' }),
    },
    {
      would_be_denied: {
        reasons: [{ code: 'outside_time_window', message: 'Outside Mon-Fri 09:00-17:00', rule_name: 'Office hours' }],
      },
      options: { decision_reason: 'always', link_mode: 'bearer', show_body: true, identical_waiting: true },
    },
  ),
  'a request with very long names': openPageWith(
    { headers: [{ name: `x-${'h'.repeat(90)}`, value: LONG_HEADER }] },
    {
      requester: {
        ...openPage().requester,
        agent: { id: ids.agent, name: LONG_NAME, type: 'ephemeral' },
        caller: LONG_NAME,
      },
      credential: { ...openPage().credential, account: `${LONG_NAME}@example.test`, scopes: [LONG_HEADER] },
      branding: {
        display_name: 'A company with a rather long name in it',
        primary_color: '#ffd400',
        background_color: '#102a43',
        support_email: null,
      },
    },
  ),
  'a request with a form': openPageWith({ body: bodyOf('form', 'amount=450&note=caf%C3%A9&amount=9') }),
  'an executed request': executedPage(),
  'a denied request': endedPage('denied', { decision_reason: 'Ask for a photo first' }),
  'an unknown outcome': endedPage('failed', { execution_error: 'execution_outcome_unknown' }),
}

describe('the approval page', () => {
  describe.each(Object.entries(STATES))('shows %s', (_name, state) => {
    it.each(['light', 'dark'] as const)('accessibly and without overflow, %s', async (colorScheme) => {
      const page = await openWith({ page: state }, { colorScheme })
      if (state.view === 'open' && state.viewer.refusal === null) await untilArmed(page)
      await expectNoOverflow(page)
      await expectAccessible(page)
      for (const width of [768, 1440]) {
        await page.setViewportSize({ width, height: 900 })
        await expectNoOverflow(page)
      }
    })
  })

  it('keeps its script within the budget and nothing inline', async () => {
    const assets = await readdir(join(app.dist, 'assets'))
    const scripts = await Promise.all(
      assets.filter((name) => name.endsWith('.js')).map((name) => readFile(join(app.dist, 'assets', name))),
    )
    expect(scripts.reduce((sum, script) => sum + gzipSync(script).length, 0)).toBeLessThan(SCRIPT_BUDGET_BYTES)
    const html = await readFile(join(app.dist, 'index.html'), 'utf8')
    expect(html).not.toMatch(/<script(?![^>]* src=)/)
    expect(html).not.toMatch(/<style|\sstyle=|\son\w+=/)
    expect(html).not.toMatch(/(?:src|href)="(?!\/wallet\/)/)
  })

  it('sends the token in a header and keeps it in the address for a reload', async () => {
    const page = await openWith({ page: openPage() })
    const read = server.requests.find(({ url }) => url.startsWith('/wallet/api/'))
    expect(read?.headers['x-alter-link-token']).toBe(LINK_TOKEN)
    expect(new URL(page.url()).hash).toBe(`#t=${LINK_TOKEN}`)
    await page.reload()
    await approveButton(page).waitFor()
  })

  it.each([
    ['no token', () => server.link(null), 0],
    ['a forged token', () => server.link('v1.forged'), 1],
  ])('answers a link with %s in one way', async (_what, link, reads) => {
    const page = await openWith({ page: openPage() }, { link: link(), expectedErrors: /404/ })
    expect(await title(page).textContent()).toBe('This link does not open a request')
    expect(await page.getByText('Nothing was decided and nothing was sent.').count()).toBe(1)
    expect(server.requests.filter(({ url }) => url.startsWith('/wallet/api/'))).toHaveLength(reads)
    await expectAccessible(page)
  })
})

describe('the buttons', () => {
  it('rest for at least a second after the request was drawn, and focus neither answer', async () => {
    const page = await openWith({ page: openPage() })
    expect(await isInert(page)).toBe(true)
    expect(await page.locator(':focus').count()).toBe(0)
    await approveButton(page).click({ force: true })
    await denyButton(page).click({ force: true })
    expect(await untilArmed(page)).toBeGreaterThanOrEqual(1_000)
    expect(server.decisions).toEqual([])
    await approveButton(page).click()
    await expect.poll(() => server.decisions.length).toBe(1)
  })

  it('do not count a press that began before they came alive', async () => {
    const page = await openWith({ page: openPage() })
    await approveButton(page).hover({ force: true })
    await page.mouse.down()
    await untilArmed(page)
    await page.mouse.up()
    await denyButton(page).click()
    await expect.poll(() => server.decisions.map(({ decision }) => decision)).toEqual(['deny'])
  })

  it('rest again when the window comes back', async () => {
    const page = await openWith({ page: openPage() })
    await untilArmed(page)
    await page.evaluate("window.dispatchEvent(new Event('focus'))")
    await expect.poll(() => isInert(page)).toBe(true)
    expect(await untilArmed(page)).toBeGreaterThanOrEqual(1_000)
  })

  it('let nobody approve before the end of the request was seen, and let anybody deny', async () => {
    const lines = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`field_${index}`, index]))
    const page = await openWith({ page: openPageWith({ body: bodyOf('json', JSON.stringify(lines)) }) })
    await page.clock.runFor(5_000)
    expect(await isInert(page)).toBe(true)
    expect(await page.getByText('You have not come to the end of what will be sent.').count()).toBe(1)
    expect(await denyButton(page).getAttribute('aria-disabled')).toBeNull()
    expect(await untilArmed(page)).toBeGreaterThanOrEqual(900)
    await approveButton(page).click()
    await expect.poll(() => server.decisions.length).toBe(1)
  })

  /* Width and height in CSS pixels: a laptop, a phone both ways, a small phone, and the laptop at 200 % and 400 %. */
  it.each([
    [1280, 800],
    [844, 390],
    [390, 844],
    [320, 640],
    [640, 400],
    [320, 200],
  ])('at %s x %s stand with method, host and amount, or rest', async (width, height) => {
    const page = await openWith({ page: openPage() }, { viewport: { width, height } })
    await page.clock.runFor(5_000)
    const isInView = async (locator: Locator) => {
      const box = await locator.boundingBox()
      return box !== null && box.y >= 0 && box.y + box.height <= height
    }
    const first = [
      page.locator('main').getByText('POST', { exact: true }).first(),
      page.locator('main').getByText('api.stripe.com', { exact: true }).first(),
      page.getByRole('region', { name: 'Your decision' }).getByText('45000'),
      approveButton(page),
      denyButton(page),
    ]
    const seen = await Promise.all(first.map(isInView))
    if (await isInert(page)) {
      if (height >= 700) expect(seen).toEqual([true, true, true, true, true])
    } else expect(seen).toEqual([true, true, true, true, true])
    const bar = await page.getByRole('region', { name: 'Your decision' }).boundingBox()
    if (height < 600) expect(bar?.y, 'a low window is not covered').toBeGreaterThanOrEqual(height)
    const tops = [page.locator('[data-end-of-request]'), page.getByText('The requester says')].map((locator) =>
      locator.boundingBox().then((box) => box?.y ?? 0),
    )
    const [endOfRequest = 0, reason = 0] = await Promise.all(tops)
    expect(reason, 'what is said about it stands below what will be sent').toBeGreaterThan(endOfRequest)
    await expectNoOverflow(page)
  })

  it('are of equal size', async () => {
    const page = await openWith({ page: openPage() })
    const [approve, deny] = [await approveButton(page).boundingBox(), await denyButton(page).boundingBox()]
    expect([approve?.width, approve?.height]).toEqual([deny?.width, deny?.height])
    expect(approve?.height).toBeGreaterThanOrEqual(44)
  })

  it('stop when the time is over', async () => {
    const page = await openWith({ page: openPage({ expires_at: '2026-03-02T10:00:08Z' }) })
    await untilArmed(page)
    const reads = server.requests.length
    await page.clock.runFor(9_000)
    await page.getByText('The time is over').waitFor()
    expect(await page.getByRole('button', { name: /Approve|Deny|reason/ }).count()).toBe(0)
    await expect.poll(() => server.requests.length).toBeGreaterThan(reads)
  })
})

describe('deciding', () => {
  it('approves by keyboard alone, with the hash that was shown', async () => {
    const page = await openWith({
      page: openPage(),
      decide: () => {
        server.replace({ page: executedPage() })
        return decisionState()
      },
    })
    await untilArmed(page)
    for (let presses = 0; presses < 30; presses += 1) {
      await page.keyboard.press('Tab')
      if (await hasFocus(page, approveButton(page))) break
    }
    await page.keyboard.press('Enter')
    await untilShown(page, page.getByText('The provider answered 200.'))
    expect(server.decisions).toEqual([
      { decision: 'approve', action_hash: openPage().action_hash, link_token: LINK_TOKEN },
    ])
    expect(await page.locator('h1:focus').count()).toBe(1)
    expect(await page.getByText('POST api.stripe.com/v1/refunds').count()).toBe(1)
    expect(await page.getByText('ch_3PqXbZ2eZvKYlo2C1abcdefg').count()).toBe(0)
    expect(await page.getByText('You, just now').count()).toBe(1)
  })

  it('denies by keyboard alone, with a reason', async () => {
    const page = await openWith({
      page: openPage(),
      decide: () => {
        server.replace({ page: endedPage('denied', { decision_reason: 'Ask for a photo first' }) })
        return decisionState({ status: 'denied', gate_status: 'denied', approvals: 0 })
      },
    })
    await untilArmed(page)
    await page.getByRole('button', { name: 'Add a reason' }).focus()
    await page.keyboard.press('Enter')
    await expect.poll(() => hasFocus(page, page.getByRole('textbox', { name: 'Your reason' }))).toBe(true)
    await page.keyboard.type('Ask for a photo first')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Space')
    await untilShown(page, page.getByRole('heading', { name: 'You denied this request' }))
    expect(server.decisions).toMatchObject([{ decision: 'deny', reason: 'Ask for a photo first' }])
    expect(await page.getByText('Nothing was sent.').count()).toBe(1)
  })

  it('asks for a reason where the rule wants one, and sends nothing without', async () => {
    const options = { ...openPage().options, decision_reason: 'on_deny' as const }
    const page = await openWith({ page: openPage({ options }) })
    await untilArmed(page)
    await denyButton(page).click()
    const field = page.getByRole('textbox', { name: 'Your reason' })
    await field.waitFor()
    expect(await hasFocus(page, field)).toBe(true)
    expect(await page.getByText('Write why. Nothing was decided and nothing was sent.').count()).toBe(1)
    expect(server.decisions).toEqual([])
    await expectAccessible(page)
    await field.fill('Wrong amount')
    await denyButton(page).click()
    await expect.poll(() => server.decisions).toMatchObject([{ decision: 'deny', reason: 'Wrong amount' }])
  })

  it.each([
    ['approval_already_decided', 'This was already decided', 409],
    ['approval_expired', 'The time is over', 410],
    ['action_changed', 'The request has changed', 409],
    ['sign_in_required', 'Sign in to decide', 401],
  ] as const)('says in plain words what %s means', async (refusal, words, status) => {
    const page = await openWith(
      { page: openPage(), decide: () => ({ refusal }) },
      { expectedErrors: new RegExp(`${status}`) },
    )
    await untilArmed(page)
    await approveButton(page).click()
    const alert = page.getByRole('alert')
    await alert.getByText(words).waitFor()
    expect(await alert.getByText('Request id req_01HZX5').count()).toBe(1)
    await expectAccessible(page)
  })

  it('claims nothing when the connection was lost, and takes the same decision again', async () => {
    let isLost = true
    const page = await openWith(
      {
        page: openPage(),
        decide: () => {
          if (isLost) return 'drop_connection'
          server.replace({ page: executedPage() })
          return decisionState()
        },
      },
      { expectedErrors: /ERR_EMPTY_RESPONSE|ERR_CONNECTION/ },
    )
    await untilArmed(page)
    await approveButton(page).click()
    await page.getByText('Nobody knows yet whether your decision arrived').waitFor()
    expect(
      await page
        .getByRole('alert')
        .getByText(/othing was/)
        .count(),
    ).toBe(0)
    isLost = false
    await untilArmed(page)
    await approveButton(page).click()
    await untilShown(page, page.getByText('The provider answered 200.'))
  })

  it('says plainly that the link only opens the page when the rule names approvers', async () => {
    const page = await openWith({ page: signInPage() })
    expect(await page.getByText('This link only opens the page.').count()).toBe(1)
    expect(await approveButton(page).count()).toBe(0)
    expect(await page.getByText('ann@acme.example, ben@acme.example, group Finance').count()).toBe(1)
    expect(await page.getByText('1 of 2 approvals given').count()).toBe(1)
  })

  it('warns before the click when current rules would refuse the execution', async () => {
    const would_be_denied = {
      reasons: [{ code: 'outside_time_window', message: 'Outside office hours', rule_name: 'Office hours' }],
    }
    const page = await openWith({ page: openPage({ would_be_denied }) })
    const bar = page.getByRole('region', { name: 'Your decision' })
    expect(await bar.getByText('Approving would not send it: current rules refuse it').count()).toBe(1)
    expect(await page.getByText('Outside office hours').count()).toBe(1)
  })
})

describe('changes while someone reads', () => {
  it('keep the request that was read, until the new one is asked for', async () => {
    const page = await openWith({ page: openPage() })
    await untilArmed(page)
    const changed = openPageWith({ body: bodyOf('json', '{"amount":9000000}') }, { action_hash: 'c'.repeat(64) })
    server.replace({ page: changed })
    await untilShown(page, page.getByText('What would be sent has changed'))
    expect(await page.getByText('9000000').count()).toBe(0)
    expect(await page.getByRole('tabpanel').getByText('45000').count()).toBe(1)
    await page.clock.runFor(5_000)
    await approveButton(page).click({ force: true })
    expect(server.decisions).toEqual([])

    await page.getByRole('button', { name: 'Show the new version' }).click()
    await page.getByText('9000000').first().waitFor()
    expect(await isInert(page)).toBe(true)
    expect(await page.locator('h1:focus').count()).toBe(1)
    expect(await untilArmed(page)).toBeGreaterThanOrEqual(1_000)
    await approveButton(page).click()
    await expect.poll(() => server.decisions).toMatchObject([{ action_hash: 'c'.repeat(64) }])
  })

  it('announce what others did and make the buttons rest', async () => {
    const [gate] = openPage().gates
    if (!gate) throw new Error('the sample has a gate')
    const two = { ...gate, quorum: 2, approvers: ['group Finance'] }
    const page = await openWith({ page: openPage({ gates: [two] }) })
    await untilArmed(page)
    server.replace({ page: openPage({ gates: [{ ...two, approvals: 1 }] }) })
    await untilShown(page, page.getByText('Someone approved this request while you were reading.'))
    expect(await isInert(page)).toBe(true)
    expect(await page.getByText('1 of 2 approvals given').count()).toBe(1)
  })

  it('replace the request by its outcome when someone else decides', async () => {
    const page = await openWith({ page: openPage() })
    await untilArmed(page)
    const denied = endedPage('denied')
    server.replace({
      page: {
        ...denied,
        gates: denied.gates.map((gate) => ({
          ...gate,
          decisions: gate.decisions.map((made) => ({
            ...made,
            by: { kind: 'member' as const, name: 'Ben Okafor', is_you: false },
          })),
        })),
      },
    })
    await untilShown(page, page.getByRole('heading', { name: 'Ben Okafor denied this request' }))
    expect(await approveButton(page).count()).toBe(0)
    expect(await page.getByText('ch_3PqXbZ2eZvKYlo2C1abcdefg').count()).toBe(0)
  })

  it('say that what is shown may be old when the vault stops answering', async () => {
    const page = await openWith({ page: openPage() }, { expectedErrors: /ERR_EMPTY_RESPONSE|ERR_CONNECTION/ })
    server.replace({ unreachable: true })
    await untilShown(page, page.getByText('The vault does not answer'))
    server.replace({ unreachable: false })
    await untilShown(page, page.locator('body:not(:has-text("The vault does not answer"))'))
  })
})

describe('words of others', () => {
  const forged = [
    'Fine.',
    ...Array.from({ length: 40 }, () => ''),
    '</p></blockquote><button>Approve</button><a href="https://evil.example">Sign in to decide</a><style>*{display:none}</style>',
    '✔ Checked by the security team',
    'https://evil.example/approve',
    `\u202Eyltnatsni sevorppa siht${'z\u0336'.repeat(3)}${'\u0336'.repeat(60)}`,
  ].join('\n')

  it('cannot make the reason look like the page', async () => {
    const page = await openWith({ page: openPage({ reason: forged }) })
    const quote = page.getByRole('blockquote')
    const box = page.getByRole('region', { name: 'The requester says (not checked)' })
    expect(await box.count()).toBe(1)
    expect(await box.locator('button, a, style, script, img').count()).toBe(0)
    expect(await page.getByRole('button', { name: 'Approve', exact: true }).count()).toBe(1)
    expect(await page.getByRole('link').count()).toBe(0)
    expect(await quote.textContent()).toContain('<button>Approve</button>')
    expect(await quote.textContent()).not.toMatch(/[\u202A-\u202E]/)
    expect(await quote.getByText('U+202E').count()).toBe(1)
    expect(await quote.getByText('U+0336 ×', { exact: false }).count()).toBe(1)
    expect(await quote.textContent()).not.toMatch(/\n{3,}/)
    expect(await computedStyle(box, 'contain')).toContain('paint')
    expect(await quote.getByRole('paragraph').getAttribute('dir')).toBe('auto')
    const [outer, inner] = [await box.boundingBox(), await quote.boundingBox()]
    expect((inner?.y ?? 0) + (inner?.height ?? 0)).toBeLessThanOrEqual((outer?.y ?? 0) + (outer?.height ?? 0) + 1)
    expect(await title(page).textContent()).not.toContain('security team')
  })

  it('cannot hide or reorder anything in a name', async () => {
    const agent = { id: ids.agent, name: 'pay\u202Ellib\u200B\nApproved', type: 'managed' }
    const page = await openWith({ page: openPage({ requester: { ...openPage().requester, agent } }) })
    expect(await title(page).textContent()).toContain('payU+202EllibU+200BU+000AApproved')
  })

  it('cannot pass an imitated host for the real one', async () => {
    const url_parts = {
      scheme: 'https' as const,
      host: 'xn--strpe-p4d.com',
      host_unicode: 'strіpe.com',
      port: null,
      path: '/v1/refunds',
      path_reads: null,
    }
    const page = await openWith({
      page: openPageWith({ url: 'https://xn--strpe-p4d.com/v1/refunds', url_parts, query: [] }),
    })
    expect(await title(page).textContent()).toContain('xn--strpe-p4d.com')
    expect(await page.getByText('mixes letters of Latin and Cyrillic').count()).toBe(1)
  })
})

describe('the body', () => {
  const formatted = (page: Page) => page.getByRole('tabpanel')
  const openRaw = async (page: Page) => {
    await page.getByRole('tab', { name: 'Formatted' }).focus()
    await page.keyboard.press('ArrowRight')
    await page.getByRole('region', { name: 'Raw body' }).waitFor()
    return page.getByRole('region', { name: 'Raw body' })
  }

  const longPage = (text: string) => openPageWith({ body: bodyOf('text', text, { tail: 'the last words' }) })

  it('shows JSON without reading its values, and flags a member named twice', async () => {
    const text = '{"amount":100,\n\t"id":12345678901234567890,"to":"\\u0061nn","amount":90000}'
    const page = await openWith({ page: openPageWith({ body: bodyOf('json', text, { doubt: 'ambiguous' }) }) })
    expect(await page.getByText('This body has more than one reading').count()).toBe(1)
    expect(await formatted(page).getByText('named twice').count()).toBe(2)
    expect(await formatted(page).getByText('12345678901234567890').count()).toBe(1)
    expect(await formatted(page).getByText('reads ann').count()).toBe(1)
    expect(await (await openRaw(page)).textContent()).toBe(text)
  })

  it('shows what only calls itself JSON as it is, and says so', async () => {
    const page = await openWith({
      page: openPageWith({ body: bodyOf('text', '{"a":1}{"b":2}', { doubt: 'malformed' }) }),
    })
    expect(await page.getByText('This is not what its type says').count()).toBe(1)
    expect(await page.getByRole('region', { name: 'Raw body' }).textContent()).toBe('{"a":1}{"b":2}')
  })

  it('shows a form as fields and flags a repeated one', async () => {
    const page = await openWith({ page: openPageWith({ body: bodyOf('form', 'amount=450&note=caf%C3%A9&amount=9') }) })
    expect(await formatted(page).getByRole('row').count()).toBe(4)
    expect(await formatted(page).getByText('named more than once').count()).toBe(2)
    expect(await formatted(page).getByText('café').count()).toBe(1)
    expect(await (await openRaw(page)).textContent()).toBe('amount=450&note=caf%C3%A9&amount=9')
  })

  it('shows bytes that are no text escaped, with their hash', async () => {
    const body = bodyOf('binary', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x00, 0xff]))
    const page = await openWith({ page: openPageWith({ body }) })
    expect(await page.getByRole('region', { name: 'Raw body' }).textContent()).toBe('\\x89PNG\\x00\\xff')
    expect(await page.getByText(body.sha256).count()).toBe(1)
  })

  it('shows a long body in steps, its end too, and downloads the whole of it', async () => {
    const text = 'a line of a long text\n'.repeat(10_000)
    const page = await openWith({
      page: longPage(text),
      wholePage: openPageWith({ body: bodyOf('text', text, { shownBytes: text.length }) }),
    })
    const raw = page.getByRole('region', { name: 'Raw body' })
    expect((await raw.textContent())?.split('\n')).toHaveLength(41)
    expect(await page.getByRole('region', { name: 'Last part of the body' }).textContent()).toBe('the last words')
    for (let presses = 0; presses < 3; presses += 1) await page.getByRole('button', { name: /Show more/ }).click()
    expect((await raw.textContent())?.length).toBe(65_536)
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download all 214.8 KiB' }).click()
    expect(await readFile(await (await download).path(), 'utf8')).toBe(text)
  })

  it('does not save a download that is not the body that was shown', async () => {
    const text = 'a line of a long text\n'.repeat(10_000)
    const page = await openWith({
      page: longPage(text),
      wholePage: openPageWith({ body: bodyOf('text', text.replace('long', 'tall'), { shownBytes: text.length }) }),
    })
    await page.getByRole('button', { name: /Download all/ }).click()
    await page.getByText('The downloaded body has another hash').waitFor()
  })

  it('says so when the rule hides it, with size and hash', async () => {
    const page = await openWith({
      page: openPageWith({ body: hiddenBody }, { options: { ...openPage().options, show_body: false } }),
    })
    expect(await page.getByText('The rule does not show you this body').count()).toBe(1)
    expect(await page.getByText(hiddenBody.sha256).count()).toBe(1)
    expect(await page.getByRole('tab').count()).toBe(0)
  })

  it('says so when there is none', async () => {
    const page = await openWith({ page: openPageWith({ body: emptyBody }) })
    expect(await page.getByText('Body: None').count()).toBe(1)
  })

  it('stays usable with the worst JSON of its size', async () => {
    const page = await openWith({ page: openPageWith({ body: bodyOf('json', `[${'1,'.repeat(32_000)}1]`) }) })
    await page.getByRole('button', { name: 'Approve unread' }).click()
    await untilArmed(page)
    await approveButton(page).click()
    await expect.poll(() => server.decisions.length).toBe(1)
  })

  it('attack F9: a long text that a cut left open does not freeze the page', async () => {
    const text = `{"amount":1,"note":"${'a'.repeat(70_000)}`
    const page = await openWith({ page: openPageWith({ body: bodyOf('json', text) }) })
    await page.getByRole('button', { name: 'Approve unread' }).click()
    await untilArmed(page)
    await approveButton(page).click()
    await expect.poll(() => server.decisions.length).toBe(1)
  })

  it('attack F9: a long run of invisible characters does not freeze the page', async () => {
    const page = await openWith({
      page: openPageWith({ body: bodyOf('text', '\u200b'.repeat(20_000)) }, { reason: '\u200b'.repeat(2_000) }),
    })
    for (let presses = 0; presses < 1; presses += 1) await page.getByRole('button', { name: /Show more/ }).click()
    expect(await page.getByText('U+200B ×20000').count()).toBe(1)
  })

  it('attack F16: a long body is approved by a second step only, and its last value stands beside the buttons', async () => {
    const values = [
      { name: 'amount', value: '1', cut: false },
      { name: 'pad', value: '[7, 7, 7', cut: true },
      { name: 'to', value: '"attacker"', cut: false },
    ]
    const text = `{"amount":1,"pad":[${'7, '.repeat(40_000)}7],"to":"attacker"}`
    const body = bodyOf('json', text, { tail: '7],"to":"attacker"}', values, values_total: 3 })
    const page = await openWith({ page: openPageWith({ body }) })
    const bar = page.getByRole('region', { name: 'Your decision' })
    expect(await bar.getByText('attacker').count()).toBe(1)
    expect(await page.getByRole('region', { name: 'Last part of the body' }).getByText('attacker').count()).toBe(1)
    await readToEnd(page)
    await page.clock.runFor(5_000)
    expect(await isInert(page)).toBe(true)
    await approveButton(page).click({ force: true })
    await page.getByRole('button', { name: 'Approve unread' }).click()
    await approveButton(page).click({ force: true })
    expect(server.decisions).toEqual([])
    expect(await untilArmed(page)).toBeGreaterThanOrEqual(900)
    await approveButton(page).click()
    await expect.poll(() => server.decisions.length).toBe(1)
  })

  it('never shows what the vault adds', async () => {
    const page = await openWith({ page: openPage() })
    const row = page.getByRole('row', { name: /authorization/ })
    expect(await row.getByText('added by the vault').count()).toBe(1)
  })
})

describe('outcomes', () => {
  it.each([
    ['expired', endedPage('expired'), 'Nobody decided in time', 'Nothing was sent.'],
    ['withdrawn', endedPage('denied', { withdrawn_reason: 'grant_revoked' }), 'Withdrawn', 'Nothing was sent.'],
    ['executing', endedPage('executing'), 'Approved, being sent now', 'This page shows the answer when it is there.'],
    [
      'refused by the provider',
      endedPage('executed', { status_code: 402 }),
      'Sent, and the provider refused it',
      'The provider answered 402. The vault does not send it again.',
    ],
    [
      'failed before sending',
      endedPage('failed', { execution_error: 'policy_changed' }),
      'Approved, but not sent',
      'Nothing was sent.',
    ],
    [
      'unknown',
      endedPage('failed', { execution_error: 'execution_outcome_unknown' }),
      'Outcome unknown',
      'It may have been carried out. Look at the provider before anyone asks again.',
    ],
  ])('%s', async (_state, state, heading, sentence) => {
    const page = await openWith({ page: state })
    expect(await title(page).textContent()).toBe(heading)
    expect(await page.getByText(sentence, { exact: true }).count()).toBe(1)
    expect(await page.getByRole('button').count()).toBe(0)
  })

  it('follow an execution to its end by themselves', async () => {
    const page = await openWith({ page: endedPage('executing') })
    server.replace({ page: executedPage() })
    await untilShown(page, page.getByText('The provider answered 200.'))
    const reads = server.requests.length
    await page.clock.runFor(60_000)
    expect(server.requests).toHaveLength(reads)
  })
})

describe('preferences of the reader', () => {
  it('less motion: nothing is animated', async () => {
    const page = await openWith({ page: openPage() }, { reducedMotion: 'reduce' })
    const durations = await computedStyle(approveButton(page), 'transition-duration')
    expect(new Set(durations.split(', '))).toEqual(new Set(['0s']))
  })

  it('more contrast: quiet text is as strong as the rest', async () => {
    const page = await openWith({ page: openPage() }, { contrast: 'more' })
    const root = page.locator('html')
    expect(await computedStyle(root, '--ink-quiet')).toBe(await computedStyle(root, '--ink'))
    await expectAccessible(page)
  })
})
