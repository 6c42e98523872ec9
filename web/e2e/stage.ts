import { after, before } from 'node:test';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { Api } from './api';
import { Person, startBrowser } from './browser';
import { Files } from './files';
import { type Host, startHost, type User } from './host';

/** What the tests of one file share: a Bullion, a browser, and a folder of files. */
export class Stage {
  host!: Host;
  browser!: Browser;
  files!: Files;

  /** prepare runs when all is there, before the first test. */
  static open(prepare?: (stage: Stage) => Promise<void>): Stage {
    const stage = new Stage();
    before(async () => {
      stage.files = new Files();
      stage.host = await startHost();
      stage.browser = await startBrowser();
      await prepare?.(stage);
    });
    after(async () => {
      await stage.browser?.close();
      await stage.host?.close();
      stage.files?.remove();
    });
    return stage;
  }

  api(user: User): Promise<Api> {
    return Api.as(this.host, user);
  }

  /** Lets a person do something; whatever the page complained of meanwhile fails the test. */
  async as(user: User, act: (person: Person) => Promise<void>, options: BrowserContextOptions & { route?: string } = {}): Promise<void> {
    const { route, ...rest } = options;
    const person = await Person.arrive(this.browser, this.host, rest);
    try {
      await person.signIn(user, route);
      await act(person);
    } catch (error) {
      const shot = process.env['E2E_FAILED'];
      if (shot) await person.page.screenshot({ path: `${shot}/${Date.now()}.png` });
      if (person.complaints.length > 0) console.error(`the page complained:\n  ${person.complaints.join('\n  ')}`);
      await person.context.close();
      throw brief(error);
    }
    await person.leave();
  }
}

/** The first lines of what went wrong, and where: Playwright's log of every attempt is longer than all else together. */
function brief(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const short = new Error(error.message.split('\n').slice(0, 8).join('\n'));
  short.stack = `${short.message}\n${(error.stack ?? '')
    .split('\n')
    .filter((l) => l.includes('/e2e/'))
    .join('\n')}`;
  return short;
}
