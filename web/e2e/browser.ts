import { existsSync } from 'node:fs';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type CDPSession,
  chromium,
  type Page,
  type Request,
} from 'playwright-core';
import type { Host, User } from './host';
import { patience, until } from './until';

const executable = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

export async function startBrowser(): Promise<Browser> {
  if (!existsSync(executable))
    throw new Error(`${executable} is not there: install it with "apt-get install chromium", or name it in CHROMIUM`);
  return chromium.launch({
    executablePath: executable,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A person with a browser of their own. What the page complains of is kept, and fails the test that ends with it. */
export class Person {
  readonly complaints: string[] = [];
  /** Complaints that a test provokes, such as the browser's own line about a request that was refused. */
  readonly expected: RegExp[] = [];
  /** What the pages have asked for and not got yet, but for the parts of uploads, and documents: a download is one that never comes. */
  private readonly pending = new Set<Request>();

  private constructor(
    readonly host: Host,
    readonly context: BrowserContext,
    public page: Page,
  ) {
    this.watch(page);
    context.on('page', (p) => this.watch(p));
  }

  static async arrive(browser: Browser, host: Host, options: BrowserContextOptions = {}): Promise<Person> {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    context.setDefaultTimeout(patience); // a test waits for what happens, not for a time; this only ends one that fails
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (e) =>
        console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`),
      );
    });
    return new Person(host, context, await context.newPage());
  }

  private watch(page: Page): void {
    const complain = (text: string) => {
      if (!this.expected.some((x) => x.test(text))) this.complaints.push(text);
    };
    page.on('console', (m) => {
      if (m.type() === 'error' || m.type() === 'warning') complain(`${m.type()}: ${m.text()} ${m.location().url}`);
    });
    page.on('pageerror', (e) => complain(`thrown: ${e.stack ?? e.message}`));
    page.on('request', (r) => r.method() !== 'PUT' && !r.isNavigationRequest() && this.pending.add(r));
    page.on('requestfinished', (r) => this.pending.delete(r));
    page.on('requestfailed', (r) => this.pending.delete(r));
    page.on('close', () => {
      for (const r of this.pending) if (r.frame().page() === page) this.pending.delete(r);
    });
  }

  /** Goes to a page of the dashboard, and waits until it is there whole. */
  async open(route: string): Promise<void> {
    await this.page.goto(`${this.page.url().split('#')[0]}${route}`);
    await this.page.getByRole('main').waitFor();
    await this.still();
  }

  /** Waits until the page has got what it asked for, shows it, and nothing on it moves that ever comes to rest. */
  async still(): Promise<void> {
    const waits = async () => this.pending.size > 0 || (await this.page.locator('.waiting').count()) > 0;
    do {
      await until('the page has what it asked for', async () => !(await waits()));
      await this.page.evaluate(async () => {
        await document.fonts.ready;
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const moving = document.getAnimations().filter((a) => a.effect?.getComputedTiming().endTime !== Number.POSITIVE_INFINITY);
        await Promise.allSettled(moving.map((a) => a.finished));
        await new Promise((done) => requestAnimationFrame(done));
      });
    } while (await waits());
  }

  async signIn(user: User, route = ''): Promise<void> {
    await this.page.goto(`${this.host.url}${route}`);
    await this.page.getByLabel('User name').fill(user);
    await this.page.getByLabel('Password').fill(this.host.passwords[user]);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await this.page.getByRole('button', { name: `Signed in as ${user}` }).waitFor();
  }

  async leave(): Promise<void> {
    await this.context.close();
    if (this.complaints.length > 0) throw new Error(`the page complained:\n  ${this.complaints.join('\n  ')}`);
  }
}

/**
 * Ends a person's session from elsewhere, and waits until that is known everywhere: each process of a function asks for revocations every 30 seconds, and
 * requests at one time are of different processes.
 */
export async function endSession({ page, host }: Person): Promise<void> {
  const { token, root } = await page.evaluate(
    () => JSON.parse(sessionStorage.getItem('bullion.session') ?? '{}') as { token: string; root: string },
  );
  for (const t of [token, root])
    await fetch(`${host.api}/v3/auth/tokens`, { method: 'DELETE', headers: { 'X-Auth-Token': t, 'X-Subject-Token': t } });
  await until(
    'the session is refused by every process',
    async () => {
      const look = () => fetch(`${host.api}/v2/images?limit=1`, { headers: { 'X-Auth-Token': token } });
      const answers = await Promise.all(Array.from({ length: 8 }, look));
      await Promise.all(answers.map((r) => r.arrayBuffer()));
      return answers.every((r) => r.status === 401);
    },
    500,
  );
}

/** What makes the line of a page slow: what one session has set, another does not take back, so each page has one. */
const lines = new WeakMap<Page, Promise<CDPSession>>();

/** Makes the line as slow as that of a person, in megabytes a second; 0 gives it back. */
export async function line(page: Page, speed: number): Promise<void> {
  const made = lines.get(page) ?? page.context().newCDPSession(page);
  lines.set(page, made);
  const session = await made;
  const uploadThroughput = speed > 0 ? speed * 1e6 : -1;
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput });
}
