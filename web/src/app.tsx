import { session } from './session/session';
import { SignIn } from './session/sign-in';
import Shell from './shell';
import { useStore } from './ui/store';

export function App() {
  const now = useStore(session);
  if (now.is === 'out') return <SignIn />;
  return <Shell key={now.session.user.id} session={now.session} expired={now.is === 'expired'} />;
}
