import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import ProgressBar from '@cloudscape-design/components/progress-bar';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useEffect, useState } from 'react';
import type { Image } from '../api/client';
import { reason } from '../api/errors';
import { importFrom, sourceOf, urlProblem, useImport } from '../create/import';
import { t } from '../i18n';
import { useSession } from '../session/context';
import { duration, percent, rate, size } from '../ui/format';
import { bytesPerSecond, noRate, sample, secondsLeft } from '../upload/rate';
import { imageCan, why } from './can';
import { progress } from './facts';
import { refresh } from './queries';

/** A fetch by the service that is under way: from where, how far, how fast, and how to stop it. */
export function Fetching({ image, onStop }: { image: Image; onStop: () => void }) {
  const verdict = imageCan.cancelFetch(image, useSession());
  const source = sourceOf(useImport(image.id, verdict.ok));
  const { done = 0, total = 0 } = progress(image) ?? {};
  const [speed, setSpeed] = useState(noRate);
  useEffect(() => setSpeed((s) => sample(s, Date.now(), done)), [done]);
  const now = bytesPerSecond(speed);
  const left = secondsLeft(speed, done, total);
  const pace = now === undefined ? '' : left === undefined || total === 0 ? rate(now) : t.upload.speed(rate(now), duration(left));
  return (
    <Container
      header={
        <Header
          variant="h2"
          description={t.fetch.hint}
          actions={
            <Button disabled={!verdict.ok} disabledReason={why(verdict)} onClick={onStop}>
              {t.actions.cancelFetch}
            </Button>
          }
        >
          {t.fetch.title}
        </Header>
      }
    >
      <SpaceBetween size="xs">
        {source && <Box className="mono">{source}</Box>}
        {total > 0 ? (
          <ProgressBar
            value={percent(done / total)}
            ariaLabel={t.fetch.title}
            additionalInfo={t.upload.bytes(size(done), size(total))}
            description={pace}
          />
        ) : (
          <StatusIndicator type="in-progress">{done > 0 ? t.fetch.soFar(size(done), pace) : t.fetch.asking}</StatusIndicator>
        )}
      </SpaceBetween>
    </Container>
  );
}

/** Why nothing was fetched, and what to do about it. */
export function FetchFailed({ image }: { image: Image }) {
  return (
    <Alert type="error" header={t.fetch.failed} data-testid="fetch-failed">
      <span className="prose">{image.bullion_import_failure || t.fetch.failedHint}</span> {t.fetch.next}
    </Alert>
  );
}

/** Takes an address to fetch the bytes of an image from; the last one is there already. */
export function FromAddress({ image }: { image: Image }) {
  const last = sourceOf(useImport(image.id, true));
  const [typed, setTyped] = useState<string>();
  const [tried, setTried] = useState(false);
  const [working, setWorking] = useState(false);
  const [problem, setProblem] = useState('');
  const address = typed ?? last ?? '';

  async function fetchIt() {
    setTried(true);
    setProblem('');
    if (urlProblem(address)) return;
    setWorking(true);
    try {
      await importFrom(image.id, address.trim());
      await refresh();
    } catch (error) {
      setProblem(reason(error));
    } finally {
      setWorking(false);
    }
  }

  return (
    <SpaceBetween size="m">
      <FormField
        stretch
        label={t.create.url}
        description={t.create.urlHint}
        errorText={problem || (tried ? urlProblem(address) : undefined)}
      >
        <Input value={address} type="url" onChange={({ detail }) => setTyped(detail.value)} placeholder={t.create.urlPlaceholder} />
      </FormField>
      <Button variant="primary" loading={working} onClick={() => void fetchIt()}>
        {t.fetch.start}
      </Button>
    </SpaceBetween>
  );
}
