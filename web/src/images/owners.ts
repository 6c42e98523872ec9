import { useCallback } from 'react';
import { useSession } from '../session/context';
import { atLeast } from '../session/session';
import { useProjects } from './queries';

/** Turns the id of a project into its name, as far as the person may know it. */
export function useOwnerName(): (id: string) => string {
  const session = useSession();
  const { data } = useProjects(atLeast(session, 'admin'));
  return useCallback((id: string) => [...session.projects, ...(data ?? [])].find((p) => p.id === id)?.name ?? id, [session, data]);
}
