import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import FileInput from '@cloudscape-design/components/file-input';
import ProgressBar from '@cloudscape-design/components/progress-bar';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { duration, percent, rate, size } from '../ui/format';
import { bytesPerSecond, secondsLeft } from './rate';
import { transferred } from './state';
import { cancel, dismiss, goOn, type Item, pause, resume } from './uploads';

/** One upload: how far it is, how fast, how long yet, and what can be done about it. */
export function UploadCard({ item, header }: { item: Item; header?: ReactNode }) {
  const { state, rate: speed } = item;
  const sent = transferred(state);
  const ended = state.phase === 'active' || state.phase === 'rejected' || state.phase === 'cancelled';
  return (
    <article aria-label={t.upload.of(item.imageName)} data-upload={item.imageId} data-phase={state.phase}>
      <SpaceBetween size="xs">
        {header && <Box variant="h3">{header}</Box>}
        {!ended && state.phase !== 'validating' && state.phase !== 'completing' && (
          <ProgressBar
            value={percent(sent / state.size)}
            label={item.fileName}
            additionalInfo={t.upload.bytes(size(sent), size(state.size))}
            description={detail(item)}
          />
        )}
        {(state.phase === 'validating' || state.phase === 'completing') && (
          <ProgressBar value={percent(state.validated / state.size)} label={t.upload.validating} description={t.upload.validatingHint} />
        )}
        {state.phase === 'active' && <StatusIndicator type="success">{t.upload.done(size(state.size))}</StatusIndicator>}
        {state.phase === 'cancelled' && <StatusIndicator type="stopped">{t.upload.cancelled}</StatusIndicator>}
        {state.phase === 'rejected' && state.rejection && (
          <Alert type="error" header={t.upload.rejected}>
            {state.rejection.message} {state.rejection.hint}
          </Alert>
        )}
        {state.phase === 'failed' && (
          <Alert type="error" header={t.upload.failed}>
            {state.problem === 'size' ? t.upload.sizeChanged : state.problem}
          </Alert>
        )}
        <SpaceBetween direction="horizontal" size="xs">
          {state.phase === 'sending' && (
            <Button iconName="pause" onClick={() => pause(item.imageId)} ariaLabel={t.upload.pauseOf(item.imageName)}>
              {t.upload.pause}
            </Button>
          )}
          {(state.phase === 'paused' || state.phase === 'failed') && (
            <Button
              iconName="play"
              variant="primary"
              onClick={() => void resume(item.imageId)}
              ariaLabel={state.phase === 'failed' ? t.upload.againOf(item.imageName) : t.upload.resumeOf(item.imageName)}
            >
              {state.phase === 'failed' ? t.upload.again : t.upload.resume}
            </Button>
          )}
          {!ended && state.phase !== 'validating' && state.phase !== 'completing' && (
            <Button onClick={() => cancel(item.imageId)} ariaLabel={t.upload.cancelOf(item.imageName)}>
              {t.cancel}
            </Button>
          )}
          {ended && (
            <Button onClick={() => dismiss(item.imageId)} ariaLabel={t.upload.dismissOf(item.imageName)}>
              {t.dismiss}
            </Button>
          )}
        </SpaceBetween>
      </SpaceBetween>
    </article>
  );

  function detail({ state }: Item): string {
    if (state.phase === 'waiting') return t.upload.waiting;
    if (state.phase === 'paused') return t.upload.paused;
    if (state.offline) return t.upload.offline;
    if (state.phase === 'opening' || state.phase === 'looking') return t.upload.preparing;
    if (state.waiting.size > 0 && state.sending.size === 0) return t.upload.retrying;
    const now = bytesPerSecond(speed);
    const left = secondsLeft(speed, sent, state.size);
    return now === undefined ? t.upload.starting : left === undefined ? rate(now) : t.upload.speed(rate(now), duration(left));
  }
}

/** Asks for the file of an upload that is open, and goes on with it. */
export function Resume({ image, name, upload }: { image: string; name: string; upload: string }) {
  const [problem, setProblem] = useState('');
  const [elsewhere, setElsewhere] = useState(false);
  const left = useRef<AbortController>(null);
  useEffect(() => () => left.current?.abort(), []);
  async function choose(file: File | undefined) {
    if (!file) return;
    left.current?.abort();
    left.current = new AbortController();
    const { signal } = left.current;
    setProblem('');
    setElsewhere(false);
    try {
      await goOn(image, name, upload, file, () => setElsewhere(true), signal);
    } catch (error) {
      setProblem(reason(error));
    }
    setElsewhere(false);
  }
  return (
    <SpaceBetween size="xs">
      <FileInput value={[]} onChange={({ detail }) => void choose(detail.value[0])} ariaLabel={t.upload.chooseOf(name)}>
        {t.upload.choose}
      </FileInput>
      {elsewhere && <StatusIndicator type="pending">{t.upload.otherTab}</StatusIndicator>}
      {problem && <StatusIndicator type="error">{problem}</StatusIndicator>}
    </SpaceBetween>
  );
}
