// Everything is in the page and its component.
App({});
