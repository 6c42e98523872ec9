import { navigate } from './router';

/** The properties of a link or button that leads to a page of the dashboard. Clicks with a modifier stay the browser's. */
export function follow(to: string): { href: string; onFollow: (e: CustomEvent) => void } {
  return {
    href: to,
    onFollow(e) {
      e.preventDefault();
      navigate(to);
    },
  };
}
