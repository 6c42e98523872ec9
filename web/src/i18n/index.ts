import { en } from './en';

/** Every text of the page. A translation is another object of this type, chosen here. */
export type Catalogue = typeof en;
export const t: Catalogue = en;
