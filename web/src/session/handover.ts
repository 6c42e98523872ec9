import { adopt, forgetSession, type Session, session } from './session';

/**
 * A link that is opened in a new tab would ask for the password, as a session belongs to one tab. So a tab that has none asks the
 * others of the same origin, to whom alone a BroadcastChannel speaks. Signing out ends the session in all of them.
 */
type Message = { is: 'wanted' } | { is: 'session'; session: Session } | { is: 'signed-out'; user: string };

export function startHandover(): void {
  if (typeof BroadcastChannel === 'undefined') return;
  const channel = new BroadcastChannel('bullion.session');
  let user = '';
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    const now = session.get();
    switch (data.is) {
      case 'wanted':
        if (now.is === 'in') channel.postMessage({ is: 'session', session: now.session } satisfies Message);
        break;
      case 'session':
        // A session that ended here may have been renewed there, by the same person in the same project.
        if (now.is === 'out' || (now.is === 'expired' && same(now.session, data.session))) adopt(data.session);
        break;
      case 'signed-out':
        if (now.is !== 'out' && now.session.user.id === data.user) forgetSession();
        break;
    }
  };
  session.subscribe(() => {
    const now = session.get();
    if (now.is === 'in') {
      user = now.session.user.id;
    } else if (now.is === 'expired') {
      channel.postMessage({ is: 'wanted' } satisfies Message);
    } else if (user) {
      channel.postMessage({ is: 'signed-out', user } satisfies Message);
      user = '';
    }
  });
  const now = session.get();
  if (now.is === 'in') user = now.session.user.id;
  else channel.postMessage({ is: 'wanted' } satisfies Message);
}

function same(a: Session, b: Session): boolean {
  return a.user.id === b.user.id && a.project.id === b.project.id && b.expiresAt > a.expiresAt;
}
