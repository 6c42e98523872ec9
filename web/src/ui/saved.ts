/** A choice that this browser remembers. Never for secrets: every script of this origin reads it, for ever. */
export interface Saved<T> {
  get(): T;
  set(value: T): void;
}

export function saved<T>(name: string, fallback: T): Saved<T> {
  const key = `bullion.${name}`;
  return {
    get() {
      try {
        const text = localStorage.getItem(key);
        return text === null ? fallback : (JSON.parse(text) as T);
      } catch {
        return fallback; // storage is switched off, or holds what an older version wrote
      }
    },
    set(value) {
      try {
        localStorage.setItem(key, JSON.stringify(value));
      } catch {
        // full or switched off: the choice holds until the page is left
      }
    },
  };
}
