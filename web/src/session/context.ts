import { createContext, useContext } from 'react';
import type { Session } from './session';

/** The session of the page that is shown. */
export const SessionContext = createContext<Session | undefined>(undefined);

export function useSession(): Session {
  const s = useContext(SessionContext);
  if (!s) throw new Error('useSession is called outside of the shell');
  return s;
}
