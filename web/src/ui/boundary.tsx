import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import { Component, type ReactNode } from 'react';
import { t } from '../i18n';

/** Keeps a fault of one page from taking the rest with it. */
export class Boundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <Alert type="error" header={t.errors.page} action={<Button onClick={() => location.reload()}>{t.reload}</Button>}>
        {t.errors.pageHint}
      </Alert>
    );
  }
}
