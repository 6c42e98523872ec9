import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Form from '@cloudscape-design/components/form';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { type FormEvent, useEffect, useState } from 'react';
import { ApiError, reason } from '../api/errors';
import { t } from '../i18n';
import { NoProject, signIn } from './session';

/** The page for those who are not signed in. The address stays as it is, so that a link leads where it should afterwards. */
export function SignIn() {
  useEffect(() => {
    document.title = t.title(t.signIn.title);
  }, []);
  return (
    <main className="gate">
      <section className="gate-story">
        <img src="./bullion.svg" alt="" />
        <h1>{t.signIn.headline}</h1>
        <p>{t.signIn.story}</p>
      </section>
      <section className="gate-form">
        <Container header={<Header variant="h2">{t.signIn.title}</Header>}>
          <Credentials />
        </Container>
      </section>
    </main>
  );
}

/** Name and password. With a name given it asks for the password alone, for a session that has ended. */
export function Credentials({ name: fixed, project }: { name?: string; project?: string }) {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [working, setWorking] = useState(false);
  const [problem, setProblem] = useState('');
  const [tried, setTried] = useState(false);
  const who = fixed ?? name.trim();

  async function submit(e: FormEvent) {
    e.preventDefault();
    setTried(true);
    setProblem('');
    if (!who || !password) return;
    setWorking(true);
    try {
      await signIn(who, password, project);
    } catch (error) {
      setProblem(explain(error));
      setPassword('');
    } finally {
      setWorking(false);
    }
  }

  return (
    <form onSubmit={submit}>
      <Form
        actions={
          <Button variant="primary" formAction="submit" loading={working} fullWidth>
            {t.signIn.submit}
          </Button>
        }
      >
        <SpaceBetween size="l">
          {problem && (
            <Alert type="error" header={t.signIn.failed}>
              {problem}
            </Alert>
          )}
          {fixed === undefined ? (
            <FormField label={t.signIn.name} errorText={tried && !who ? t.signIn.nameMissing : undefined}>
              <Input
                value={name}
                onChange={({ detail }) => setName(detail.value)}
                autoComplete="username"
                autoFocus
                spellcheck={false}
                name="username"
              />
            </FormField>
          ) : (
            <Box>{t.signIn.as(fixed)}</Box>
          )}
          <FormField label={t.signIn.password} errorText={tried && !password && !problem ? t.signIn.passwordMissing : undefined}>
            <Input
              value={password}
              onChange={({ detail }) => setPassword(detail.value)}
              type="password"
              autoComplete="current-password"
              autoFocus={fixed !== undefined}
              name="password"
            />
          </FormField>
        </SpaceBetween>
      </Form>
    </form>
  );
}

function explain(error: unknown): string {
  if (error instanceof NoProject) return t.signIn.noProject;
  if (error instanceof ApiError) {
    if (error.status === 401) return t.signIn.refused;
    if (error.status === 429) return t.signIn.tooMany(error.retryAfter ?? 60);
    if (error.status === 0) return t.errors.network;
  }
  return reason(error);
}
