import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Checkbox from '@cloudscape-design/components/checkbox';
import Container from '@cloudscape-design/components/container';
import Form from '@cloudscape-design/components/form';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Textarea from '@cloudscape-design/components/textarea';
import { type FormEvent, useEffect, useState } from 'react';
import type { Image, Schemas } from '../api/client';
import { reason } from '../api/errors';
import { amountProblem, nameProblem, Requirements, TagsField, VisibilityFields } from '../create/fields';
import { containerFor, type DiskFormat, diskFormats } from '../create/format';
import { t } from '../i18n';
import { useSession } from '../session/context';
import { crumb } from '../ui/crumb';
import { flash } from '../ui/flash';
import { href, navigate } from '../ui/router';
import { Waiting } from '../ui/waiting';
import { imageCan } from './can';
import { description } from './facts';
import { patch, refresh, useImage } from './queries';

/** Changes what is recorded about an image. */
export default function EditPage({ id }: { id: string }) {
  const query = useImage(id);
  const session = useSession();
  const { data } = query;
  useEffect(() => {
    if (data) crumb.set({ id, name: data.name });
  }, [data, id]);
  if (query.error && !query.data) return <Alert type="error">{reason(query.error)}</Alert>;
  if (!query.data) return <Waiting />;
  const verdict = imageCan.edit(query.data, session);
  if (!verdict.ok) {
    return (
      <Alert
        type="info"
        header={t.edit.notAllowed}
        action={<Button onClick={() => navigate(href(['images', id]))}>{t.image.title}</Button>}
      >
        {verdict.reason}
      </Alert>
    );
  }
  return <Editor image={query.data} />;
}

function Editor({ image: current }: { image: Image }) {
  // The form keeps the image as it was when the form opened, so that only what the person changed is sent.
  const [image] = useState(current);
  const [name, setName] = useState(image.name);
  const [text, setText] = useState(description(image));
  const [format, setFormat] = useState(image.disk_format);
  const [visibility, setVisibility] = useState(image.visibility);
  const [isProtected, setProtected] = useState(image.protected);
  const [hidden, setHidden] = useState(image.os_hidden);
  const [disk, setDisk] = useState(String(image.min_disk));
  const [ram, setRam] = useState(String(image.min_ram));
  const [tags, setTags] = useState(image.tags);
  const [working, setWorking] = useState(false);
  const [problem, setProblem] = useState('');
  const wrong = nameProblem(name) ?? amountProblem(disk) ?? amountProblem(ram);
  const back = () => navigate(href(['images', image.id]));

  function changes(): Schemas['Patch'] {
    const ops: Schemas['Patch'] = [];
    const set = (path: string, before: unknown, after: unknown) => {
      if (JSON.stringify(before) !== JSON.stringify(after)) ops.push({ op: 'add', path, value: after });
    };
    set('/name', image.name, name.trim());
    set('/visibility', image.visibility, visibility);
    set('/protected', image.protected, isProtected);
    set('/os_hidden', image.os_hidden, hidden);
    set('/min_disk', image.min_disk, Number(disk) || 0);
    set('/min_ram', image.min_ram, Number(ram) || 0);
    set('/tags', image.tags, tags);
    if (format && format !== image.disk_format) {
      set('/disk_format', image.disk_format, format);
      set('/container_format', image.container_format, containerFor(format));
    }
    if (text.trim()) set('/description', description(image), text.trim());
    else if (description(image)) ops.push({ op: 'remove', path: '/description' });
    return ops;
  }

  async function submit(e: FormEvent) {
    e.preventDefault();
    if (wrong) return;
    setWorking(true);
    setProblem('');
    try {
      const ops = changes();
      if (ops.length > 0) await patch(image.id, ops);
      await refresh();
      flash({ type: 'success', content: t.edit.saved(name.trim()) });
      back();
    } catch (error) {
      setProblem(reason(error));
      setWorking(false);
    }
  }

  return (
    <form onSubmit={submit}>
      <Form
        header={<Header variant="h1">{t.edit.of(image.name || image.id)}</Header>}
        errorText={problem}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" formAction="none" onClick={back}>
              {t.cancel}
            </Button>
            <Button variant="primary" loading={working} disabled={wrong !== undefined}>
              {t.save}
            </Button>
          </SpaceBetween>
        }
      >
        <SpaceBetween size="l">
          <Container header={<Header variant="h2">{t.create.details}</Header>}>
            <SpaceBetween size="l">
              <FormField label={t.fields.name} errorText={nameProblem(name)}>
                <Input value={name} onChange={({ detail }) => setName(detail.value)} name="name" />
              </FormField>
              <FormField label={t.fields.description} stretch>
                <Textarea value={text} rows={3} onChange={({ detail }) => setText(detail.value)} name="description" />
              </FormField>
              <FormField label={t.fields.format} constraintText={image.status === 'queued' ? undefined : t.edit.formatFixed}>
                <Select
                  disabled={image.status !== 'queued'}
                  selectedOption={format ? { value: format, label: t.formats[format] } : null}
                  options={diskFormats.map((f) => ({ value: f, label: t.formats[f] }))}
                  placeholder={t.fields.formatPlaceholder}
                  onChange={({ detail }) => setFormat(detail.selectedOption.value as DiskFormat)}
                />
              </FormField>
              <TagsField tags={tags} onChange={setTags} />
            </SpaceBetween>
          </Container>
          <Container header={<Header variant="h2">{t.create.access}</Header>}>
            <SpaceBetween size="m">
              <VisibilityFields value={visibility} onChange={setVisibility} />
              <Checkbox checked={isProtected} onChange={({ detail }) => setProtected(detail.checked)} description={t.fields.protectedHint}>
                {t.columns.protected}
              </Checkbox>
              <Checkbox checked={hidden} onChange={({ detail }) => setHidden(detail.checked)} description={t.fields.hiddenHint}>
                {t.fields.hidden}
              </Checkbox>
            </SpaceBetween>
          </Container>
          <Container header={<Header variant="h2">{t.create.requirements}</Header>}>
            <Requirements disk={disk} ram={ram} onDisk={setDisk} onRam={setRam} />
          </Container>
        </SpaceBetween>
      </Form>
    </form>
  );
}
