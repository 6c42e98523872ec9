import { store } from './store';

/** The name of the image whose page is open, for the line that says where one is. */
export const crumb = store<{ id: string; name: string }>({ id: '', name: '' });
