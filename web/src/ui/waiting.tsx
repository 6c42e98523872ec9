import Spinner from '@cloudscape-design/components/spinner';

export function Waiting() {
  return (
    <div className="waiting">
      <Spinner size="large" />
    </div>
  );
}
