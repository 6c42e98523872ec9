import Button from '@cloudscape-design/components/button';
import Checkbox from '@cloudscape-design/components/checkbox';
import ColumnLayout from '@cloudscape-design/components/column-layout';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import RadioGroup from '@cloudscape-design/components/radio-group';
import SpaceBetween from '@cloudscape-design/components/space-between';
import TokenGroup from '@cloudscape-design/components/token-group';
import { useState } from 'react';
import type { Visibility } from '../api/client';
import { t } from '../i18n';
import { imageCan, why } from '../images/can';
import { useSession } from '../session/context';

/** The parts of a form that creating and editing have in common. */

/** Public is a box to tick, as people know it from Horizon; what an image is that is not public comes below. */
export function VisibilityFields({ value, onChange }: { value: Visibility; onChange: (v: Visibility) => void }) {
  const session = useSession();
  const publish = imageCan.makePublic(session);
  const community = imageCan.makeCommunity(session);
  const [rest, setRest] = useState<Visibility>(value === 'public' ? 'private' : value);
  const open = value === 'public';
  return (
    <SpaceBetween size="m">
      <FormField>
        <Checkbox
          checked={open}
          disabled={!publish.ok && !open}
          description={open ? t.visibilityHint.public : (why(publish) ?? t.visibilityHint.public)}
          onChange={({ detail }) => onChange(detail.checked ? 'public' : rest)}
        >
          {t.visibility.public}
        </Checkbox>
      </FormField>
      {!open && (
        <FormField label={t.fields.whoElse}>
          <RadioGroup
            value={value}
            items={(['private', 'shared', 'community'] as const).map((v) => ({
              value: v,
              label: t.visibility[v],
              description: (v === 'community' && v !== value && why(community)) || t.visibilityHint[v],
              disabled: v === 'community' && v !== value && !community.ok,
            }))}
            onChange={({ detail }) => {
              setRest(detail.value as Visibility);
              onChange(detail.value as Visibility);
            }}
          />
        </FormField>
      )}
    </SpaceBetween>
  );
}

export function Requirements({
  disk,
  ram,
  onDisk,
  onRam,
}: {
  disk: string;
  ram: string;
  onDisk: (v: string) => void;
  onRam: (v: string) => void;
}) {
  return (
    <ColumnLayout columns={2}>
      <FormField label={t.fields.minDisk} constraintText={t.fields.amount} errorText={amountProblem(disk)}>
        <Input value={disk} type="number" inputMode="numeric" step={1} onChange={({ detail }) => onDisk(detail.value)} placeholder="0" />
      </FormField>
      <FormField label={t.fields.minRam} constraintText={t.fields.amount} errorText={amountProblem(ram)}>
        <Input value={ram} type="number" inputMode="numeric" step={1} onChange={({ detail }) => onRam(detail.value)} placeholder="0" />
      </FormField>
    </ColumnLayout>
  );
}

export function amountProblem(text: string): string | undefined {
  if (text.trim() === '') return undefined;
  const n = Number(text);
  return Number.isInteger(n) && n >= 0 && n < 2 ** 31 ? undefined : t.fields.amountWrong;
}

export function TagsField({ tags, onChange }: { tags: readonly string[]; onChange: (tags: string[]) => void }) {
  const [text, setText] = useState('');
  const add = () => {
    const tag = text.trim();
    if (tag && !tags.includes(tag)) onChange([...tags, tag]);
    setText('');
  };
  return (
    <FormField
      label={t.columns.tags}
      description={t.fields.tagsHint}
      secondaryControl={
        <Button formAction="none" onClick={add} disabled={text.trim() === ''} ariaLabel={t.fields.addTag}>
          {t.add}
        </Button>
      }
    >
      <Input
        value={text}
        placeholder={t.fields.tagPlaceholder}
        onChange={({ detail }) => setText(detail.value.slice(0, 255))}
        onBlur={add}
        onKeyDown={(e) => {
          if (e.detail.key !== 'Enter') return;
          e.preventDefault(); // the form is not sent
          add();
        }}
      />
      <TokenGroup
        items={tags.map((tag) => ({ label: tag, dismissLabel: t.fields.removeTag(tag) }))}
        onDismiss={({ detail }) => onChange(tags.filter((_, n) => n !== detail.itemIndex))}
      />
    </FormField>
  );
}

export function nameProblem(name: string): string | undefined {
  if (name.trim() === '') return t.fields.nameMissing;
  return [...name].length > 255 ? t.fields.nameLong : undefined;
}
