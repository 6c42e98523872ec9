import Spinner from '@cloudscape-design/components/spinner';
import { lazy, Suspense } from 'react';
import { session } from './session/session';
import { SignIn } from './session/sign-in';
import { useStore } from './ui/store';

const Shell = lazy(() => import('./shell'));

export function App() {
  const now = useStore(session);
  if (now.is === 'out') return <SignIn />;
  return (
    <Suspense fallback={<Waiting />}>
      <Shell key={now.session.user.id} session={now.session} expired={now.is === 'expired'} />
    </Suspense>
  );
}

export function Waiting() {
  return (
    <div className="waiting">
      <Spinner size="large" />
    </div>
  );
}
