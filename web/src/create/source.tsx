import Box from '@cloudscape-design/components/box';
import FileDropzone from '@cloudscape-design/components/file-dropzone';
import FileInput from '@cloudscape-design/components/file-input';
import FileTokenGroup from '@cloudscape-design/components/file-token-group';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useEffect, useRef, useState } from 'react';
import { t } from '../i18n';
import { size } from '../ui/format';
import { cautions, preflight, type Report, refusal, warmUp } from './preflight';

export type Looked = ReadonlyMap<File, Report>;

/** Takes files by drop or by choice, looks at the beginning of each, and says at once which the service would refuse. */
export function SourceFiles({
  files,
  onChange,
  multiple,
  onReady,
  onLooked,
}: {
  files: readonly File[];
  onChange: (files: File[]) => void;
  multiple: boolean;
  /** Whether every file has been looked at and none is refused. */
  onReady: (ready: boolean) => void;
  onLooked?: (looked: Looked) => void;
}) {
  const [looked, setLooked] = useState<Looked>(new Map());
  const told = useRef({ onReady, onLooked });
  told.current = { onReady, onLooked };

  useEffect(() => {
    warmUp();
  }, []);

  useEffect(() => {
    let current = true;
    for (const file of files) {
      if (looked.has(file)) continue;
      preflight(file)
        .catch((): Report => ({ rejection: { code: 'unreadable', message: t.source.unreadable, hint: '' } }))
        .then((p) => {
          if (current) setLooked((all) => new Map(all).set(file, p));
        });
    }
    return () => {
      current = false;
    };
  }, [files, looked]);

  useEffect(() => {
    told.current.onReady(files.every((f) => looked.has(f) && !looked.get(f)?.rejection && f.size > 0));
    told.current.onLooked?.(looked);
  }, [files, looked]);

  const add = (more: File[]) =>
    onChange(multiple ? [...files, ...more.filter((m) => !files.some((f) => f.name === m.name && f.size === m.size))] : more.slice(0, 1));

  return (
    <SpaceBetween size="s">
      <FileDropzone onChange={({ detail }) => add(detail.value)}>
        <div className="drop">
          <SpaceBetween size="xs">
            <FileInput
              value={[]}
              multiple={multiple}
              onChange={({ detail }) => add(detail.value)}
              ariaLabel={multiple ? t.source.chooseMany : t.source.choose}
            >
              {multiple ? t.source.chooseMany : t.source.choose}
            </FileInput>
            <Box color="text-body-secondary">{multiple ? t.source.dropMany : t.source.drop}</Box>
          </SpaceBetween>
        </div>
      </FileDropzone>
      {files.length > 0 && (
        <FileTokenGroup
          alignment="vertical"
          showFileSize
          items={files.map((file) => {
            const p = looked.get(file);
            return {
              file,
              loading: p === undefined,
              errorText: file.size === 0 ? t.source.empty : refusal(p),
              warningText: cautions(p),
            };
          })}
          onDismiss={({ detail }) => onChange(files.filter((_, n) => n !== detail.fileIndex))}
          i18nStrings={{ ...t.source.tokens, formatFileSize: size }}
        />
      )}
    </SpaceBetween>
  );
}
