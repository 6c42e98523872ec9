import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Checkbox from '@cloudscape-design/components/checkbox';
import ColumnLayout from '@cloudscape-design/components/column-layout';
import Container from '@cloudscape-design/components/container';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import Form from '@cloudscape-design/components/form';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Textarea from '@cloudscape-design/components/textarea';
import { type FormEvent, useState } from 'react';
import { api, type Image, take, type Visibility } from '../api/client';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { imageCan } from '../images/can';
import { refresh, remove } from '../images/queries';
import { useSession } from '../session/context';
import { flash } from '../ui/flash';
import { size } from '../ui/format';
import { href, navigate } from '../ui/router';
import { begin, panel } from '../upload/uploads';
import { amountProblem, nameProblem, Requirements, TagsField, VisibilityFields } from './fields';
import { containerFor, type DiskFormat, diskFormats, formatByName, nameByFile } from './format';
import { importFrom, urlProblem, useImportMethods } from './import';
import { Metadata, type Pair, problems } from './metadata';
import { preflight, type Report, refusal } from './preflight';
import { type Looked, SourceFiles } from './source';

type Source = 'file' | 'url' | 'none';

/** Creates one image, or one for each of several files, and begins their uploads. */
export default function CreatePage() {
  const session = useSession();
  const canImport = useImportMethods().includes('web-download');
  const [source, setSource] = useState<Source>('file');
  const [files, setFiles] = useState<File[]>([]);
  const [looked, setLooked] = useState<Looked>(new Map());
  const [ready, setReady] = useState(false);
  const [url, setUrl] = useState('');
  const [names, setNames] = useState<ReadonlyMap<File | undefined, string>>(new Map());
  const [description, setDescription] = useState('');
  const [formats, setFormats] = useState<ReadonlyMap<File | undefined, DiskFormat>>(new Map());
  const [mismatches, setMismatches] = useState<ReadonlyMap<File, string>>(new Map());
  const [system, setSystem] = useState({ architecture: '', os_distro: '', os_version: '' });
  const [disk, setDisk] = useState('');
  const [ram, setRam] = useState('');
  const [visibility, setVisibility] = useState<Visibility>('private');
  const [isProtected, setProtected] = useState(false);
  const [hidden, setHidden] = useState(false);
  const [tags, setTags] = useState<string[]>([]);
  const [pairs, setPairs] = useState<Pair[]>([]);
  const [tried, setTried] = useState(false);
  const [working, setWorking] = useState(false);
  const [problem, setProblem] = useState('');

  const verdict = imageCan.create(session);
  const list = () => navigate(href(['images']));
  if (!verdict.ok) {
    return (
      <Alert type="info" header={t.create.notAllowed} action={<Button onClick={list}>{t.image.toList}</Button>}>
        {verdict.reason}
      </Alert>
    );
  }

  // What is made: one image for each file, or one without.
  const subjects: (File | undefined)[] = source === 'file' && files.length > 0 ? files : [undefined];
  const nameOf = (of: File | undefined) => names.get(of) ?? (of ? nameByFile(of.name) : '');
  const formatOf = (of: File | undefined): DiskFormat | undefined =>
    formats.get(of) ?? (of ? looked.get(of)?.disk_format : source === 'url' ? formatByName(url) : undefined);
  const found = files[0] ? looked.get(files[0]) : undefined;

  const urlWrong = source === 'url' ? urlProblem(url) : undefined;
  const fileWrong = source === 'file' && files.length === 0 ? t.create.fileMissing : undefined;
  const formatWrong = (of: File | undefined) => (of && mismatches.get(of)) || (formatOf(of) ? undefined : t.create.formatMissing);

  /** Takes the person's word for the format, and looks whether the service will. */
  async function chooseFormat(of: File | undefined, format: DiskFormat) {
    setFormats((all) => new Map(all).set(of, format));
    if (!of) return;
    const text = refusal(await preflight(of, format)) ?? '';
    setMismatches((all) => new Map(all).set(of, text));
  }
  const wrong =
    !!urlWrong ||
    !!fileWrong ||
    (source === 'file' && !ready) ||
    !!amountProblem(disk) ||
    !!amountProblem(ram) ||
    problems(pairs).length > 0 ||
    subjects.some((s) => nameProblem(nameOf(s)) || formatWrong(s));

  async function create(of: File | undefined): Promise<Image> {
    const format = formatOf(of);
    if (!format) throw new Error(t.create.formatMissing);
    const custom = Object.fromEntries(pairs.filter((p) => p.name.trim()).map((p) => [p.name.trim(), p.value]));
    for (const [name, value] of Object.entries({ ...system, description: description.trim() }))
      if (value.trim()) custom[name] = value.trim();
    const image = await take(
      api.POST('/v2/images', {
        body: {
          ...custom,
          name: nameOf(of).trim(),
          disk_format: format,
          container_format: containerFor(format, of && looked.get(of)),
          visibility,
          protected: isProtected,
          os_hidden: hidden,
          min_disk: Number(disk) || 0,
          min_ram: Number(ram) || 0,
          tags,
        },
      }),
    );
    if (of) await begin(image.id, image.name, of);
    if (source === 'url') {
      try {
        await importFrom(image.id, url.trim());
      } catch (error) {
        await remove(image.id).catch(() => {}); // so that trying again does not leave two
        throw error;
      }
    }
    return image;
  }

  async function submit(e: FormEvent) {
    e.preventDefault();
    setTried(true);
    setProblem('');
    if (wrong) return;
    setWorking(true);
    const made: Image[] = [];
    try {
      for (const subject of subjects) {
        made.push(await create(subject));
        if (subject) setFiles((all) => all.filter((f) => f !== subject)); // what is left can be tried again
      }
      void refresh();
      const [only] = made;
      if (made.length === 1 && only) {
        flash({ type: 'success', content: source === 'none' ? t.create.madeEmpty(only.name) : t.create.made(only.name) });
        navigate(href(['images', only.id]));
      } else {
        flash({ type: 'success', content: t.create.madeMany(made.length) });
        panel.set(true);
        list();
      }
    } catch (error) {
      setProblem(reason(error));
      setWorking(false);
      await refresh();
    }
  }

  const sources = [
    { id: 'file', text: t.create.fromFile },
    ...(canImport ? [{ id: 'url', text: t.create.fromUrl }] : []),
    { id: 'none', text: t.create.fromNothing },
  ];

  return (
    <form onSubmit={submit}>
      <Form
        header={
          <Header variant="h1" description={t.create.description}>
            {t.create.title}
          </Header>
        }
        errorText={problem || (tried && wrong ? t.create.incomplete : undefined)}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" formAction="none" onClick={list}>
              {t.cancel}
            </Button>
            <Button variant="primary" loading={working}>
              {source === 'file' && files.length > 1 ? t.create.submitMany(files.length) : t.create.title}
            </Button>
          </SpaceBetween>
        }
      >
        <SpaceBetween size="l">
          <Container header={<Header variant="h2">{t.create.source}</Header>}>
            <SpaceBetween size="m">
              <SegmentedControl
                label={t.create.source}
                selectedId={source}
                options={sources}
                onChange={({ detail }) => setSource(detail.selectedId as Source)}
              />
              {source === 'file' && (
                <FormField stretch errorText={tried ? fileWrong : undefined}>
                  <SourceFiles files={files} onChange={setFiles} multiple onReady={setReady} onLooked={setLooked} />
                </FormField>
              )}
              {source === 'url' && (
                <FormField label={t.create.url} description={t.create.urlHint} errorText={tried ? urlWrong : undefined}>
                  <Input value={url} type="url" onChange={({ detail }) => setUrl(detail.value)} placeholder={t.create.urlPlaceholder} />
                </FormField>
              )}
            </SpaceBetween>
          </Container>

          <Container header={<Header variant="h2">{t.create.details}</Header>}>
            <SpaceBetween size="l">
              {subjects.map((of, n) => (
                <ColumnLayout columns={2} key={of ? `${of.name} ${of.size} ${of.lastModified}` : 'none'}>
                  <FormField
                    label={subjects.length > 1 && of ? t.create.nameOf(of.name) : t.fields.name}
                    errorText={tried ? nameProblem(nameOf(of)) : undefined}
                  >
                    <Input
                      value={nameOf(of)}
                      onChange={({ detail }) => setNames(new Map(names).set(of, detail.value))}
                      placeholder={t.fields.namePlaceholder}
                      ariaRequired
                      {...(n === 0 ? { name: 'name' } : {})}
                    />
                  </FormField>
                  <FormField
                    label={t.fields.format}
                    constraintText={of && !formats.get(of) ? summary(looked.get(of)) : undefined}
                    errorText={tried || (of && mismatches.get(of)) ? formatWrong(of) : undefined}
                  >
                    <Select
                      selectedOption={option(formatOf(of))}
                      options={diskFormats.map((f) => ({ value: f, label: t.formats[f] }))}
                      placeholder={t.fields.formatPlaceholder}
                      onChange={({ detail }) => void chooseFormat(of, detail.selectedOption.value as DiskFormat)}
                    />
                  </FormField>
                </ColumnLayout>
              ))}
              <FormField label={<Optional text={t.fields.description} />} stretch>
                <Textarea
                  value={description}
                  rows={2}
                  onChange={({ detail }) => setDescription(detail.value)}
                  placeholder={t.fields.descriptionPlaceholder}
                />
              </FormField>
            </SpaceBetween>
          </Container>

          <Container header={<Header variant="h2">{t.create.access}</Header>}>
            <SpaceBetween size="m">
              <VisibilityFields value={visibility} onChange={setVisibility} />
              <Checkbox checked={isProtected} onChange={({ detail }) => setProtected(detail.checked)} description={t.fields.protectedHint}>
                {t.columns.protected}
              </Checkbox>
            </SpaceBetween>
          </Container>

          <ExpandableSection variant="container" headerText={t.create.system} headerDescription={t.create.systemHint}>
            <SpaceBetween size="l">
              <ColumnLayout columns={3}>
                <FormField label={t.metadefs.distro}>
                  <Input
                    value={system.os_distro}
                    onChange={({ detail }) => setSystem({ ...system, os_distro: detail.value })}
                    placeholder={found?.os_distro || 'debian'}
                  />
                </FormField>
                <FormField label={t.metadefs.version}>
                  <Input
                    value={system.os_version}
                    onChange={({ detail }) => setSystem({ ...system, os_version: detail.value })}
                    placeholder={found?.os_version || '12'}
                  />
                </FormField>
                <FormField label={t.metadefs.architecture}>
                  <Input
                    value={system.architecture}
                    onChange={({ detail }) => setSystem({ ...system, architecture: detail.value })}
                    placeholder={found?.architecture || 'x86_64'}
                  />
                </FormField>
              </ColumnLayout>
              <Requirements disk={disk} ram={ram} onDisk={setDisk} onRam={setRam} />
            </SpaceBetween>
          </ExpandableSection>

          <ExpandableSection variant="container" headerText={t.create.metadata} headerDescription={t.create.metadataHint}>
            <SpaceBetween size="l">
              <TagsField tags={tags} onChange={setTags} />
              <Metadata pairs={pairs} onChange={setPairs} />
              <Checkbox checked={hidden} onChange={({ detail }) => setHidden(detail.checked)} description={t.fields.hiddenHint}>
                {t.fields.hidden}
              </Checkbox>
            </SpaceBetween>
          </ExpandableSection>
        </SpaceBetween>
      </Form>
    </form>
  );
}

function option(format: DiskFormat | undefined) {
  return format ? { value: format, label: t.formats[format] } : null;
}

/** What the look into the file found, in one line. */
function summary(r: Report | undefined): string | undefined {
  if (!r?.disk_format) return undefined;
  const system = [t.systems[r.os_distro as keyof typeof t.systems] ?? r.os_distro, r.os_version].filter(Boolean).join(' ');
  const disk = r.virtual_size ? t.create.foundDisk(size(r.virtual_size)) : '';
  return t.create.found(
    [t.formats[r.disk_format], system, r.architecture, r.hw_firmware_type?.toUpperCase(), disk].filter(Boolean).join(' · '),
  );
}

function Optional({ text }: { text: string }) {
  return (
    <span>
      {text} <i>{t.fields.optional}</i>
    </span>
  );
}
