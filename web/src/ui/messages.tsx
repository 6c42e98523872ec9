import Flashbar from '@cloudscape-design/components/flashbar';
import { t } from '../i18n';
import { dismiss, type Flash } from './flash';

export default function Messages({ messages }: { messages: readonly Flash[] }) {
  return (
    <Flashbar
      stackItems
      items={messages.map(({ read: _, ...m }) => ({ ...m, dismissible: true, dismissLabel: t.dismiss, onDismiss: () => dismiss(m.id) }))}
    />
  );
}
