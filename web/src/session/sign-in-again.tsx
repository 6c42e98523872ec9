import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';
import { t } from '../i18n';
import { useSelected } from '../ui/store';
import { busy } from '../upload/state';
import { uploads } from '../upload/uploads';
import { type Session, signOut } from './session';
import { Credentials } from './sign-in';

/** The session has ended: the page stays as it is underneath, and what it was about to ask waits for the answer. */
export default function SignInAgain({ session }: { session: Session }) {
  const [hidden, setHidden] = useState(false);
  const going = useSelected(uploads, (all) => all.some((u) => busy(u.state)));
  if (hidden) {
    return (
      <div className="ended">
        <Alert type="warning" header={t.signIn.expired} action={<Button onClick={() => setHidden(false)}>{t.signIn.title}</Button>}>
          {t.signIn.expiredShort}
        </Alert>
      </div>
    );
  }
  return (
    <Modal
      visible
      header={t.signIn.expired}
      size="small"
      onDismiss={() => setHidden(true)}
      footer={
        <Box float="left">
          <Button variant="link" onClick={() => void signOut()}>
            {t.signIn.out}
          </Button>
        </Box>
      }
    >
      <SpaceBetween size="l">
        <Alert type="info">{going ? t.signIn.expiredUploading : t.signIn.expiredHint}</Alert>
        <Credentials name={session.user.name} project={session.project.id} />
      </SpaceBetween>
    </Modal>
  );
}
