import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Modal from '@cloudscape-design/components/modal';
import RadioGroup from '@cloudscape-design/components/radio-group';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useState } from 'react';
import type { Image, Visibility } from '../api/client';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { useSession } from '../session/context';
import { flash } from '../ui/flash';
import { size } from '../ui/format';
import { cancel } from '../upload/uploads';
import { type BulkAction, bulkActions, type Input as Extra, each } from './bulk-actions';
import { imageCan, why } from './can';
import { everything, lists, refresh } from './queries';

type Result = { ok: true } | { ok: false; reason: string };

/**
 * Asks before something is done to the images, says what will happen to each and what cannot and why, does it, and reports each result.
 */
export default function BulkDialog({
  action,
  images,
  onClose,
}: {
  action: BulkAction;
  images: Image[];
  onClose: (done: string[]) => void;
}) {
  const session = useSession();
  const definition = bulkActions[action];
  const [extra, setExtra] = useState<Extra>({ tag: '', visibility: 'private' });
  const [phase, setPhase] = useState<'ask' | 'working' | 'done'>('ask');
  const [results, setResults] = useState<ReadonlyMap<string, Result>>(new Map());
  const [tried, setTried] = useState(false);

  const able = images.filter((image) => definition.verdict(image, session).ok);
  const texts = t.bulk[action];
  const only = images.length === 1 ? images[0] : undefined;
  const done = [...results].filter(([, r]) => r.ok).map(([id]) => id);
  const missing = (action === 'tag' || action === 'untag') && extra.tag.trim() === '';

  async function run() {
    setTried(true);
    if (missing) return;
    setPhase('working');
    const all = new Map<string, Result>();
    await each(able, 4, async (image) => {
      let result: Result = { ok: true };
      try {
        await definition.run(image, { ...extra, tag: extra.tag.trim() });
        if (action === 'delete') cancel(image.id);
      } catch (error) {
        result = { ok: false, reason: reason(error) };
      }
      all.set(image.id, result);
      setResults(new Map(all));
    });
    await refresh(action === 'delete' ? lists : everything); // the page of an image that is gone would ask for it in vain
    const good = [...all.values()].filter((r) => r.ok).length;
    if (good === images.length) {
      flash({ type: 'success', content: only ? texts.didOne(label(only)) : texts.did(good) });
      onClose([...all.keys()]);
    } else {
      setPhase('done');
    }
  }

  return (
    <Modal
      visible
      size="medium"
      header={only ? texts.titleOne(label(only)) : texts.title(images.length)}
      onDismiss={() => phase !== 'working' && onClose(done)}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            {phase === 'done' ? (
              <Button variant="primary" onClick={() => onClose(done)}>
                {t.close}
              </Button>
            ) : (
              <>
                <Button variant="link" disabled={phase === 'working'} onClick={() => onClose([])}>
                  {t.cancel}
                </Button>
                <Button
                  variant="primary"
                  loading={phase === 'working'}
                  loadingText={texts.working}
                  disabled={able.length === 0}
                  disabledReason={t.bulk.nothing}
                  onClick={() => void run()}
                >
                  {able.length === images.length || able.length === 0 ? texts.button : texts.buttonSome(able.length)}
                </Button>
              </>
            )}
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        {phase === 'done' && <Alert type={done.length > 0 ? 'warning' : 'error'}>{texts.result(done.length, images.length)}</Alert>}
        {phase !== 'done' && action === 'delete' && (
          <Alert type="warning" header={t.bulk.forGood}>
            {t.bulk.forGoodHint}
          </Alert>
        )}
        {phase !== 'done' && action !== 'delete' && texts.hint && <Box>{texts.hint}</Box>}
        {phase === 'ask' && (action === 'tag' || action === 'untag') && (
          <TagField
            action={action}
            images={images}
            value={extra.tag}
            wrong={tried && missing}
            onChange={(tag) => setExtra({ ...extra, tag })}
          />
        )}
        {phase === 'ask' && action === 'visibility' && (
          <VisibilityField value={extra.visibility} onChange={(visibility) => setExtra({ ...extra, visibility })} />
        )}
        <ul className="plain" aria-label={t.bulk.list}>
          {images.map((image) => (
            <li key={image.id}>
              <span>
                <strong>{label(image)}</strong>{' '}
                <Box variant="small" color="text-body-secondary" display="inline">{`${size(image.size)} · ${image.id}`}</Box>
              </span>
              <Outcome image={image} action={action} result={results.get(image.id)} working={phase === 'working'} />
            </li>
          ))}
        </ul>
      </SpaceBetween>
    </Modal>
  );
}

/** What becomes, or became, of one image. */
function Outcome({ image, action, result, working }: { image: Image; action: BulkAction; result?: Result; working: boolean }) {
  const session = useSession();
  const texts = t.bulk[action];
  const verdict = bulkActions[action].verdict(image, session);
  if (!verdict.ok) return <StatusIndicator type="stopped">{verdict.reason}</StatusIndicator>;
  if (result?.ok) return <StatusIndicator type="success">{texts.done}</StatusIndicator>;
  if (result) return <StatusIndicator type="error">{result.reason}</StatusIndicator>;
  return working ? (
    <StatusIndicator type="in-progress">{texts.working}</StatusIndicator>
  ) : (
    <StatusIndicator type="pending">{texts.will}</StatusIndicator>
  );
}

function label(image: Image): string {
  return image.name || t.images.unnamed(image.id.slice(0, 8));
}

function TagField({
  action,
  images,
  value,
  wrong,
  onChange,
}: {
  action: 'tag' | 'untag';
  images: Image[];
  value: string;
  wrong: boolean;
  onChange: (tag: string) => void;
}) {
  const errorText = wrong ? t.bulk.tagMissing : undefined;
  if (action === 'tag') {
    return (
      <FormField label={t.bulk.tagLabel} constraintText={t.bulk.tagConstraint} errorText={errorText}>
        <Input value={value} onChange={({ detail }) => onChange(detail.value)} autoFocus />
      </FormField>
    );
  }
  const tags = [...new Set(images.flatMap((image) => image.tags))].sort();
  return (
    <FormField label={t.bulk.tagLabel} errorText={errorText}>
      <Select
        selectedOption={value ? { value, label: value } : null}
        options={tags.map((tag) => ({ value: tag, label: tag }))}
        placeholder={t.bulk.tagChoose}
        empty={t.bulk.noTags}
        onChange={({ detail }) => onChange(detail.selectedOption.value ?? '')}
      />
    </FormField>
  );
}

function VisibilityField({ value, onChange }: { value: Visibility; onChange: (v: Visibility) => void }) {
  const session = useSession();
  const refused = {
    private: undefined,
    shared: undefined,
    community: why(imageCan.makeCommunity(session)),
    public: why(imageCan.makePublic(session)),
  };
  return (
    <RadioGroup
      value={value}
      ariaLabel={t.columns.visibility}
      onChange={({ detail }) => onChange(detail.value as Visibility)}
      items={(['private', 'shared', 'community', 'public'] as const).map((v) => ({
        value: v,
        label: t.visibility[v],
        description: refused[v] ?? t.visibilityHint[v],
        disabled: refused[v] !== undefined,
      }))}
    />
  );
}
